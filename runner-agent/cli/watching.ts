/** What commands that watch runs do around it: the elapsed time on a terminal, and what Ctrl-C means for the runs. */
import type { DispatchedRun } from "../../client/http.ts";
import type { Output } from "./output.ts";
import { progressLine } from "./render/run.ts";
import { countText, durationText, ERASE_LINE } from "./render/text.ts";
import { isOver } from "./run-outcome.ts";
import { waitForRuns, type WaitOptions } from "./wait-for-runs.ts";

/** How often the status line of a wait is drawn again. */
const REDRAW_MS = 1000;
/** Runs whose cancel command is printed; an event can have many. */
const CANCEL_SHOWN_MAX_RUNS = 3;

/**
 * Does `work`, which watches runs. When Ctrl-C interrupts it, prints that the runs go on and how to stop them, and ends the
 * process by that signal. `unfinished` returns the ids of the runs that go on; `onInterrupt` frees the terminal's line.
 */
export async function untilInterrupted<T>(
  output: Output,
  unfinished: () => readonly string[],
  work: () => Promise<T>,
  onInterrupt: () => void = () => undefined,
): Promise<T> {
  const interrupt = (): void => {
    onInterrupt();
    const ids = unfinished();
    if (ids.length > 0) output.note(({ colors }) => colors.yellow(goesOnText(ids)));
    // The handler is gone by now (`once`), so that the shell learns of the signal.
    process.kill(process.pid, "SIGINT");
  };
  process.once("SIGINT", interrupt);
  try {
    return await work();
  } finally {
    process.off("SIGINT", interrupt);
  }
}

/** What Ctrl-C leaves behind. */
export function goesOnText(ids: readonly string[]): string {
  const commands = ids.slice(0, CANCEL_SHOWN_MAX_RUNS).map((id) => `  codex-flow runs cancel ${id}`);
  const more =
    ids.length > CANCEL_SHOWN_MAX_RUNS ? [`  … and ${ids.length - CANCEL_SHOWN_MAX_RUNS} more`] : [];
  const subject = ids.length === 1 ? "the run goes on" : `${ids.length} runs go on`;
  return [
    `${subject}; this command only watched. To stop ${ids.length === 1 ? "it" : "them"}:`,
    ...commands,
    ...more,
  ].join("\n");
}

/** Waits for runs and prints each change; on a terminal also how long it has waited, and what for. */
export async function watchRuns<Run extends DispatchedRun>(
  output: Output,
  options: Omit<WaitOptions<Run>, "onChange">,
): Promise<{ runs: Run[]; over: boolean }> {
  const { err } = output;
  const beganAt = performance.now();
  const isDrawn = !output.json && err.isTTY === true;
  let { runs } = options;
  const erase = (): void => {
    if (isDrawn) err.write(ERASE_LINE);
  };
  const draw = (): void => {
    const { colors, width } = output.noteStyle();
    const text = waitText(runs, performance.now() - beganAt).slice(0, width - 1);
    err.write(`${ERASE_LINE}${colors.dim(text)}`);
  };
  const drawing = isDrawn ? setInterval(draw, REDRAW_MS) : undefined;
  try {
    return await untilInterrupted(
      output,
      () => runs.filter((run) => !isOver(run)).map(({ id }) => id),
      () =>
        waitForRuns({
          ...options,
          refresh: async (holdSeconds) => (runs = await options.refresh(holdSeconds)),
          onChange: (run) => {
            erase();
            output.note((style) => progressLine(style, run));
          },
        }),
      erase,
    );
  } finally {
    clearInterval(drawing);
    erase();
  }
}

/** "running, 12.3 s (Ctrl-C ends the wait, not the run)"; of several runs how many are over. */
export function waitText(runs: readonly DispatchedRun[], elapsedMs: number): string {
  const over = runs.filter(isOver).length;
  const state =
    runs.length === 1
      ? (runs[0]?.effectiveStatus ?? "waiting")
      : `${over} of ${countText(runs.length, "run")} over`;
  return `${state}, ${durationText(elapsedMs)} (Ctrl-C ends the wait, not the ${runs.length === 1 ? "run" : "runs"})`;
}
