/**
 * A runner agent whose steps talk and run nothing (step-runner.ts).
 *
 * Each half second a run prints ten lines and somebody raises its budget: the change of a run's state that may come at any
 * time, and that its card and its final message show. Twice it says something as an agent does.
 */
import { createEdgeClient } from "../../client/http.ts";
import type { AttemptEnd } from "../../contract/run-record.ts";
import type { RunningStep, StepEvents } from "../../runner-agent/steps/step.ts";
import type { EdgeServer } from "../servers.ts";
import { EXITED, startStepRunner, type StepRunner } from "../step-runner.ts";

export const STATES_A_SECOND = 2;
export const LINES_A_STATE = 10;
export const WORDS = 2;
/** Stands on cards, and on nothing else that a chat is told. */
export const RUNNER_NAME = "talking-box";
/** Of the step `bench.talk`. */
const BUDGET_TOKENS = 1000;
const EVERY_MS = 1000 / STATES_A_SECOND;

export const stateText = (state: number): string => `${(BUDGET_TOKENS + state).toLocaleString("en")} tokens`;
export const lineText = (line: number): string => `line ${line} of the log, nothing to see`;
export const wordText = (word: number, runId: string): string => `word ${word} of ${runId}`;

export interface TalkingRunner extends StepRunner {
  /** When each run was begun and ended here, epoch ms. */
  began: Map<string, number>;
  ended: Map<string, number>;
}

export async function startTalkingRunner(
  edge: EdgeServer,
  { capacity, states }: { capacity: number; states: number },
): Promise<TalkingRunner> {
  const client = createEdgeClient({ url: edge.url, token: edge.secrets.tokens.admin });
  const [began, ended] = [new Map<string, number>(), new Map<string, number>()];
  const { stop } = await startStepRunner(edge, {
    name: RUNNER_NAME,
    capacity,
    startStep: ({ runId }, events) => {
      began.set(runId, Date.now());
      const step = talk(runId, states, events, () => client.raiseBudget(runId, { addTokens: 1 }));
      void step.ended.then(() => ended.set(runId, Date.now()));
      return step;
    },
  });
  return { began, ended, stop };
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
