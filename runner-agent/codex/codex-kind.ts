/**
 * The runner kind `codex` for an agent: everything about Codex is loaded by the first such step, since most boxes'
 * agents wait for months without one, and at rest each megabyte counts.
 */
import type { RunningStep, StepEvents, StepRequest, StepStarter } from "../steps/step.ts";
import type { StepClocks } from "../steps/clocks.ts";
import type { CodexOnBox, CodexOnBoxOptions } from "./codex-host.ts";

export interface CodexKind {
  start: StepStarter;
  /** Ends the app-server, if there ever was one. */
  stop(): Promise<void>;
}

export function codexKind(options: CodexOnBoxOptions): CodexKind {
  let loaded: Promise<{ box: CodexOnBox; start: StepStarter }> | undefined;
  const load = async (): Promise<{ box: CodexOnBox; start: StepStarter }> => {
    const [{ codexOnBox }, { codexStarter }] = await Promise.all([
      import("./codex-host.ts"),
      import("./step/codex-step.ts"),
    ]);
    const box = codexOnBox(options);
    return { box, start: codexStarter(box) };
  };
  return {
    start: (request, events, clocks) =>
      new LoadingStep(
        (loaded ??= load()).then(({ start }) => start),
        request,
        events,
        clocks,
      ),
    stop: async () => (await loaded)?.box.stop(),
  };
}

/** A step whose code is still being loaded: what it is told meanwhile, it is told when it is there. */
class LoadingStep implements RunningStep {
  readonly pid = undefined;
  readonly ended: RunningStep["ended"];
  readonly #step: Promise<RunningStep>;

  constructor(start: Promise<StepStarter>, request: StepRequest, events: StepEvents, clocks: StepClocks) {
    this.#step = start.then((begin) => begin(request, events, clocks));
    this.ended = this.#step.then((step) => step.ended);
  }

  cancel(reason: "canceled" | "abandoned"): void {
    void this.#step.then((step) => {
      step.cancel(reason);
    });
  }

  pause(): void {
    void this.#step.then((step) => {
      step.pause();
    });
  }

  resume(): void {
    void this.#step.then((step) => {
      step.resume();
    });
  }
}
