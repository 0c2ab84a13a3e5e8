/**
 * The runner kind `codex` for an agent: everything about Codex is loaded when the first such step is offered, since most
 * boxes' agents wait for months without one, and at rest each megabyte counts. From the offer to the step's start there
 * are some milliseconds, and Codex takes as many to start: so it starts with the offer, and its own code before the rest.
 */
import type { RunningStep, StepEvents, StepRequest, StepStarter } from "../steps/step.ts";
import type { StepClocks } from "../steps/clocks.ts";
import type { CodexOnBox, CodexOnBoxOptions } from "./codex-host.ts";

export interface CodexKind {
  start: StepStarter;
  /** A step of this kind was offered, and is likely to start soon. */
  prepare(): void;
  /** Ends the app-server, if there ever was one. */
  stop(): Promise<void>;
}

export function codexKind(options: CodexOnBoxOptions): CodexKind {
  let box: Promise<CodexOnBox> | undefined;
  let starter: Promise<StepStarter> | undefined;
  const host = (): Promise<CodexOnBox> =>
    (box ??= import("./codex-host.ts").then(({ codexOnBox }) => codexOnBox(options)));
  const starts = (): Promise<StepStarter> =>
    (starter ??= host().then(async (made) => {
      const { codexStarter } = await import("./step/codex-step.ts");
      return codexStarter(made);
    }));
  return {
    prepare: () => {
      void host().then((made) => {
        made.warm();
        return starts();
      });
    },
    start: (request, events, clocks) => new LoadingStep(starts(), request, events, clocks),
    stop: async () => (await box)?.stop(),
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
