/**
 * A runner agent whose steps talk and run nothing: two cores do not carry 40 processes beside the edge. All else is the
 * product's own: agent, journal, both kinds of sockets, and with them the pace and the order of what reaches the edge.
 *
 * Each half second a run prints ten lines and somebody raises its budget: the change of a run's state that may come at any
 * time, and that its card and its final message show. Twice it says something as an agent does.
 */
import { join } from "node:path";
import { createEdgeClient } from "../../client/http.ts";
import type { AttemptEnd } from "../../contract/run-record.ts";
import { FlowCheckout } from "../../runner-agent/checkout.ts";
import { Journal } from "../../runner-agent/journal/journal.ts";
import { Runner } from "../../runner-agent/runner.ts";
import type { RunningStep, StepEvents } from "../../runner-agent/steps/step.ts";
import { Workspaces } from "../../runner-agent/workspace/workspaces.ts";
import type { EdgeServer } from "../servers.ts";

export const STATES_A_SECOND = 2;
export const LINES_A_STATE = 10;
export const WORDS = 2;
/** Stands on cards, and on nothing else that a chat is told. */
export const RUNNER_NAME = "talking-box";
/** Of the step `bench.talk`. */
const BUDGET_TOKENS = 1000;
const EVERY_MS = 1000 / STATES_A_SECOND;
const EXITED: AttemptEnd = {
  reason: "exited",
  exit: { code: 0, signal: null },
  tree: { empty: true, survivors: [] },
};

export const stateText = (state: number): string => `${(BUDGET_TOKENS + state).toLocaleString("en")} tokens`;
export const lineText = (line: number): string => `line ${line} of the log, nothing to see`;
export const wordText = (word: number, runId: string): string => `word ${word} of ${runId}`;

export interface TalkingRunner {
  /** When each run was begun and ended here, epoch ms. */
  began: Map<string, number>;
  ended: Map<string, number>;
  stop(): void;
}

export async function startTalkingRunner(
  { url, secrets, workspace }: EdgeServer,
  { capacity, states }: { capacity: number; states: number },
): Promise<TalkingRunner> {
  const runnerId = "runner_talking";
  const client = createEdgeClient({ url, token: secrets.tokens.admin });
  const journal = new Journal(join(workspace, "journal", "journal.sqlite"));
  const [began, ended] = [new Map<string, number>(), new Map<string, number>()];
  const talking = new Set<RunningStep>();
  const runner = new Runner({
    host: {
      edgeUrl: url,
      linkUrl: url.replace(/^http/, "ws"),
      token: secrets.tokens.runner,
      runnerId,
      runnerName: RUNNER_NAME,
      journal,
      log: () => undefined,
      executor: { kind: "direct" },
      environment: { variables: {}, secrets: [] },
      startStep: ({ runId }, events) => {
        began.set(runId, Date.now());
        const step = talk(runId, states, events, () => client.raiseBudget(runId, { addTokens: 1 }));
        talking.add(step);
        void step.ended.then(() => {
          ended.set(runId, Date.now());
          talking.delete(step);
        });
        return step;
      },
      workspaces: new Workspaces({
        workspace,
        runnerId,
        repositories: {},
        projects: {},
        quota: { max: 1, maxGb: 1 },
      }),
    },
    identity: { runnerId, name: RUNNER_NAME, version: "0.0.0", labels: [], capacity },
    pool: "default",
    checkout: await FlowCheckout.open(workspace),
    prepare: () => undefined,
  });
  await runner.start();
  return {
    began,
    ended,
    stop: () => {
      for (const step of talking) step.cancel("abandoned");
      runner.drain();
      journal.close();
    },
  };
}

function talk(
  runId: string,
  states: number,
  { output, result }: StepEvents,
  changeState: () => Promise<unknown>,
): RunningStep {
  const { promise: ended, resolve } = Promise.withResolvers<AttemptEnd>();
  const changes: Promise<unknown>[] = [];
  let word = 0;
  const timer = setInterval(() => {
    const line = changes.length * LINES_A_STATE + 1;
    const lines = Array.from({ length: LINES_A_STATE }, (_unused, at) => `${lineText(line + at)}\n`);
    output("stdout", lines.join(""));
    // One that is refused shows as a last card that is wrong.
    changes.push(changeState().catch(() => undefined));
    if (word < WORDS && changes.length >= ((word + 1) * states) / (WORDS + 1)) {
      word += 1;
      const said = { type: "message", id: `m${word}`, state: "completed", role: "agent" };
      output("agent", JSON.stringify({ ...said, text: wordText(word, runId) }));
    }
    if (changes.length < states) return;
    clearInterval(timer);
    void Promise.all(changes).then(() => {
      result({ status: "completed" });
      resolve(EXITED);
    });
  }, EVERY_MS);
  return {
    pid: undefined,
    cancel: (reason) => {
      clearInterval(timer);
      resolve({ ...EXITED, reason });
    },
    pause: () => undefined,
    resume: () => undefined,
    ended,
  };
}
