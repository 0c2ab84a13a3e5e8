/** What `dispatch` and `events replay` do with the edge's answer: show it, or wait for its runs and show how they end. */
import {
  EdgeAnswerError,
  type DispatchAnswer,
  type DispatchedRun,
  type EdgeClient,
} from "../../client/http.ts";
import { EXIT, exitCodeOfRuns } from "./exit-codes.ts";
import type { Output } from "./output.ts";
import type { Wait } from "./option-values.ts";
import { renderDispatch, renderDispatched, replayCommand } from "./render/event.ts";
import { resultLine } from "./render/run.ts";
import { optionValue } from "./render/text.ts";
import { watchRuns } from "./watching.ts";

/** Of how many waiting runs the reason is asked for each time. */
const EXPLAINED_MAX_RUNS = 5;

/**
 * The runs with what only GET /runs/:id knows: why they wait, and all the rest of runs that were answered to a signature
 * with id and status alone. A token that may not read gets them as they are.
 */
export async function withReasons(client: EdgeClient, runs: DispatchedRun[]): Promise<DispatchedRun[]> {
  const explained = runs
    .filter((run) => run.status === "queued" || run.flowName === undefined)
    .slice(0, EXPLAINED_MAX_RUNS);
  return Promise.all(
    runs.map(async (run) => {
      if (!explained.includes(run)) return run;
      try {
        return await client.getRun(run.id);
      } catch (error) {
        if (error instanceof EdgeAnswerError) return run;
        throw error;
      }
    }),
  );
}

/** Resolves to the exit code. `refresh` asks for the same runs again and may take so many seconds. */
export async function followAnswer(
  output: Output,
  answer: DispatchAnswer,
  wait: Wait | undefined,
  refresh: (holdSeconds: number) => Promise<DispatchedRun[]>,
): Promise<number> {
  if (wait === undefined || answer.conflict === true || answer.runs.length === 0) {
    await output.show(answer, (style) => renderDispatch(style, answer));
    if (answer.conflict === true) return EXIT.conflict;
    // Whoever waits for runs, and gets none, has not got what was asked for.
    return wait === undefined ? EXIT.ok : EXIT.bad;
  }
  output.note((style) => renderDispatched(style, answer));
  const { runs, over } = await watchRuns(output, { runs: answer.runs, refresh, seconds: wait.seconds });
  await output.show({ ...answer, runs }, (style) => runs.map((run) => resultLine(style, run)).join("\n"));
  // The runs are those of the first time; after a repair, people want new ones.
  if (answer.status === "duplicate")
    output.note(
      ({ colors }) =>
        `${colors.yellow("duplicate:")} nothing new was run; for new runs: ${replayCommand(answer.eventId)}`,
    );
  if (over) return exitCodeOfRuns(runs);
  output.note(({ colors }) =>
    colors.yellow(
      `not over after ${wait.seconds ?? 0} s; the runs go on: codex-flow runs list --event${optionValue(answer.eventId)}`,
    ),
  );
  return EXIT.unfinished;
}
