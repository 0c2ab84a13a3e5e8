/** A real RunLink with a real journal at a fake edge, and all that the link told its owner. */
import { Conversation } from "../../runner-agent/conversation.ts";
import { join } from "node:path";
import { expect, onTestFinished } from "vitest";
import type { FlowResult } from "../../contract/flow-result.ts";
import type { AttemptEnd } from "../../contract/run-record.ts";
import type { JournaledAttempt } from "../../runner-agent/journal/entries.ts";
import { Journal } from "../../runner-agent/journal/journal.ts";
import { RunLink } from "../../runner-agent/link/run-link.ts";
import { LEASE, RUN_ID, startFakeRunEdge, type FakeRunEdge } from "./fake-run-edge.ts";
import { temporaryFolder } from "./flow-workspace.ts";

export const ATTEMPT: JournaledAttempt = { runId: RUN_ID, attempt: 1, lease: LEASE };
export const END: AttemptEnd = {
  reason: "exited",
  exit: { code: 0, signal: null },
  tree: { empty: true, survivors: [] },
};
export const RESULT: FlowResult = { status: "changed", message: "two files" };

export interface LinkLife {
  edge: FakeRunEdge;
  journal: Journal;
  link: RunLink;
  conversation: Conversation;
  /** `claimed`, `stop canceled`, `stop abandoned`, `refused <code>`, `done`, in their order. */
  told: string[];
  /** How often the connection was lost. */
  losses: number;
  until(isSo: () => boolean): Promise<void>;
  /** Resolves when the link has told this. */
  tells(what: string): Promise<void>;
  print(text: string): void;
  end(): void;
}

/** A link that claims; or with `former`, one for an attempt that a former life has begun, and written this about. */
export async function startLink(
  edge?: FakeRunEdge,
  former?: (journal: Journal) => void,
  more: { proof?: string } = {},
): Promise<LinkLife> {
  const at = edge ?? (await startFakeRunEdge());
  const { signal } = at.server;
  const journal = new Journal(join(await temporaryFolder(), "journal.sqlite"));
  if (former !== undefined) {
    journal.begin(ATTEMPT);
    former(journal);
  }
  const told: string[] = [];
  const tell = (what: string): void => {
    told.push(what);
    signal.notify();
  };
  const conversation = new Conversation({
    journalApproval: (request) => {
      journal.appendApproval(ATTEMPT, request);
      link.journaled("urgent");
    },
    journalWithdrawal: (id) => {
      journal.appendWithdrawal(ATTEMPT, id);
      link.journaled("urgent");
    },
    tell: (frame) => {
      link.tell(frame);
    },
  });
  const link = new RunLink({
    url: at.server.url,
    token: "token-of-the-test",
    runnerId: "runner_1",
    runnerName: "box",
    runId: RUN_ID,
    attempt: 1,
    ...(former === undefined ? {} : { lease: LEASE }),
    ...more,
    journal,
    conversation,
    claimed: () => {
      tell("claimed");
    },
    stop: (reason) => {
      tell(`stop ${reason}`);
    },
    refused: (code) => {
      tell(`refused ${code}`);
    },
    done: () => {
      tell("done");
    },
    lost: () => {
      life.losses += 1;
      signal.notify();
    },
    moved: () => {
      signal.notify();
    },
  });
  if (former === undefined) link.claim();
  onTestFinished(() => {
    link.close();
    journal.close();
  });
  const life: LinkLife = {
    edge: at,
    journal,
    link,
    conversation,
    told,
    losses: 0,
    until: (isSo) => signal.until(isSo),
    tells: (what) => signal.until(() => told.includes(what)),
    print: (text) => {
      journal.appendOutput(ATTEMPT, "stdout", text, 1);
      link.journaled({ outputBytes: Buffer.byteLength(text) });
    },
    end: () => {
      journal.appendEnd(ATTEMPT, END);
      link.journaled("urgent");
    },
  };
  return life;
}

/** A link whose claim is granted. */
export async function claimedLink(watched = true): Promise<LinkLife> {
  const edge = await startFakeRunEdge();
  edge.watched = watched;
  const life = await startLink(edge);
  await life.tells("claimed");
  return life;
}

let marks = 100_000;

/** Resolves when the edge has all that the link has sent so far: frames keep their order, and a mark comes last. */
export async function arrived({ edge, link, until }: LinkLife): Promise<void> {
  marks += 1;
  const mark = marks;
  link.signalled([mark]);
  await until(() =>
    edge.received.some(({ frame }) => frame.type === "canceling" && frame.survivors.includes(mark)),
  );
}

/** What the edge has committed, in its order; fails when the runner has broken a rule on the way. */
export function handedOver(edge: FakeRunEdge): unknown[] {
  expect(edge.faults).toEqual([]);
  return edge.committed.map(({ what }) => what);
}
