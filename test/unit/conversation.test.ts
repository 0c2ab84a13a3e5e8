/** What a step asks and hears over its run socket, when that socket drops, says things twice, or comes late. */
import { describe, expect, test } from "vitest";
import type { ApprovalRequest } from "../../contract/approvals.ts";
import type { RunUp } from "../../contract/runner-link.ts";
import type { Message } from "../../runner-agent/conversation.ts";
import { arrived, claimedLink, type LinkLife } from "../support/run-link-life.ts";

const REQUEST: ApprovalRequest = {
  id: "ap1",
  kind: "command",
  title: "git push",
  decisions: ["accept", "decline"],
};
const ACCEPTED = { type: "decided", id: "ap1", decision: "accept", by: "Ada" } as const;

function never(): AbortSignal {
  return new AbortController().signal;
}

function frames<Type extends RunUp["type"]>(life: LinkLife, type: Type): Extract<RunUp, { type: Type }>[] {
  return life.edge.received.flatMap(({ frame }) =>
    frame.type === type ? [frame as Extract<RunUp, { type: Type }>] : [],
  );
}

/** The connection is cut, and the next one is granted. */
async function reconnect(life: LinkLife): Promise<void> {
  const resumes = frames(life, "resume").length;
  life.edge.drop();
  await life.until(() => frames(life, "resume").length > resumes);
}

describe("an approval", () => {
  test("is journaled, asked for in its place, and resolves with the decision", async () => {
    const life = await claimedLink();
    life.print("before");
    const decided = life.conversation.ask(REQUEST, never());
    await life.until(() => frames(life, "approval").length === 1);
    expect(life.edge.committed.map(({ what }) => what)).toEqual(["before", "approval: ap1"]);
    life.edge.say(ACCEPTED);
    expect(await decided).toEqual({ decision: "accept", by: "Ada" });
    expect(life.edge.faults).toEqual([]);
  });

  test("whose frame was lost with the socket is asked for again on the next one", async () => {
    const life = await claimedLink();
    life.edge.takes = false;
    const decided = life.conversation.ask(REQUEST, never());
    await life.until(() => frames(life, "approval").length === 1);
    life.edge.takes = true;
    await reconnect(life);
    await life.until(() => frames(life, "approval").length === 2);
    life.edge.say(ACCEPTED);
    expect(await decided).toMatchObject({ decision: "accept" });
  });

  test("is decided by the first answer; the same one again, and one for nothing, are ignored", async () => {
    const life = await claimedLink();
    const decided = life.conversation.ask(REQUEST, never());
    await life.until(() => frames(life, "approval").length === 1);
    life.edge.say({ ...ACCEPTED, id: "unknown" });
    life.edge.say(ACCEPTED);
    life.edge.say({ ...ACCEPTED, decision: "decline" });
    expect(await decided).toMatchObject({ decision: "accept" });
  });

  test("that the step withdraws is over at once, and the edge is told", async () => {
    const life = await claimedLink();
    const withdrawn = new AbortController();
    const decided = life.conversation.ask(REQUEST, withdrawn.signal);
    withdrawn.abort();
    expect(await decided).toMatchObject({ decision: "cancel" });
    await life.until(() => frames(life, "approval_withdrawn").length === 1);
    expect(life.edge.committed.map(({ what }) => what)).toEqual(["approval: ap1", "withdrawn: ap1"]);
  });
});

describe("a message", () => {
  test("that comes twice is handed on once, and its fate is told each time", async () => {
    const life = await claimedLink();
    const heard: Message[] = [];
    life.conversation.onMessage(async (message) => {
      heard.push(message);
      return Promise.resolve("steered");
    });
    life.edge.say({ type: "message", id: "m1", text: "hello", by: "Ada" });
    await life.until(() => frames(life, "delivered").length === 1);
    life.edge.say({ type: "message", id: "m1", text: "hello", by: "Ada" });
    await life.until(() => frames(life, "delivered").length === 2);
    expect(heard).toEqual([{ id: "m1", text: "hello", by: "Ada" }]);
    expect(frames(life, "delivered")).toEqual([
      { type: "delivered", id: "m1", fate: "steered" },
      { type: "delivered", id: "m1", fate: "steered" },
    ]);
  });

  test("that the step took as a hidden answer is reported so, and its text is not sent back", async () => {
    const life = await claimedLink();
    life.conversation.onMessage(async () => Promise.resolve("hidden"));
    life.edge.say({ type: "message", id: "m1", text: "geheim", by: "Ada" });
    await life.until(() => frames(life, "delivered").length === 1);
    expect(frames(life, "delivered")).toEqual([
      { type: "delivered", id: "m1", fate: "steered", hidden: true },
    ]);
    expect(life.edge.faults).toEqual([]);
  });

  test("that comes before the step listens waits for it", async () => {
    const life = await claimedLink();
    life.edge.say({ type: "message", id: "m1", text: "early", by: "Ada" });
    const mark = life.conversation.leaseThread("mark");
    life.edge.say({ type: "thread", threadId: "mark", granted: true });
    await mark;
    const heard: string[] = [];
    life.conversation.onMessage(async ({ text }) => {
      heard.push(text);
      return Promise.resolve("queued");
    });
    await life.until(() => frames(life, "delivered").length === 1);
    expect(heard).toEqual(["early"]);
  });
});

describe("the leave to write to a thread", () => {
  test("is asked for again on the next socket, until the edge answers", async () => {
    const life = await claimedLink();
    const lease = life.conversation.leaseThread("t1");
    await life.until(() => frames(life, "thread").length === 1);
    await reconnect(life);
    await life.until(() => frames(life, "thread").length === 2);
    life.edge.say({ type: "thread", threadId: "t1", granted: false, heldBy: "run_1" });
    expect(await lease).toEqual({ granted: false, heldBy: "run_1" });
  });
});

describe("a budget", () => {
  test("raised before the step listens is not missed", async () => {
    const life = await claimedLink();
    const asked = life.conversation.leaseThread("mark");
    life.edge.say({ type: "budget", budget: { tokens: 5 } });
    life.edge.say({ type: "thread", threadId: "mark", granted: true });
    await asked;
    const heard: unknown[] = [];
    life.conversation.onBudget((budget) => heard.push(budget));
    expect(heard).toEqual([{ tokens: 5 }]);
  });

  test("what is used of it is told again on the next socket, the newest of it, though that one is quiet", async () => {
    const life = await claimedLink();
    life.conversation.tellUse({ tokens: 5 });
    life.conversation.tellUse({ tokens: 7 });
    await arrived(life);
    await reconnect(life);
    await life.until(() => frames(life, "used").length === 3);
    expect(frames(life, "used").map(({ used }) => used.tokens)).toEqual([5, 7, 7]);
  });

  test("what is used of it is not told to an edge that takes none of that, also one that was set back meanwhile", async () => {
    const life = await claimedLink();
    life.conversation.tellUse({ tokens: 5 });
    await arrived(life);
    life.edge.countsUse = false;
    await reconnect(life);
    life.conversation.tellUse({ tokens: 7 });
    await arrived(life);
    expect(frames(life, "used")).toHaveLength(1);
    life.edge.countsUse = true;
    await reconnect(life);
    await life.until(() => frames(life, "used").length === 2);
    expect(frames(life, "used").at(-1)?.used).toEqual({ tokens: 7 });
  });
});
