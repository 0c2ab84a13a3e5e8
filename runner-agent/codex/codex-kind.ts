/**
 * The runner kinds `codex` and `code-mode` for an agent: everything about Codex is loaded when the first such step is
 * offered, since most boxes' agents wait for months without one, and at rest each megabyte counts. From the offer to the
 * step's start there are some milliseconds, and Codex takes as many to start: so it starts with the offer, and its own code
 * before the rest.
 */
import type { RunningStep, StepEvents, StepRequest, StepStarter } from "../steps/step.ts";
import type { StepClocks } from "../steps/clocks.ts";
import { internalError } from "../steps/internal-error.ts";
import { refusedStep } from "../steps/refused-step.ts";
import type { CodexOnBox, CodexOnBoxOptions } from "./codex-host.ts";
import { codeModeFault, isCodeModeOn } from "./code-mode/gate.ts";

export interface CodexKinds {
  starters: Record<"codex" | "code-mode", StepStarter>;
  /** A step of this kind was offered, and is likely to start soon. */
  prepare(kind: "codex" | "code-mode"): void;
  /** Ends the app-server, if there ever was one. */
  stop(): Promise<void>;
}

export function codexKinds(options: CodexOnBoxOptions): CodexKinds {
  let onBox: Promise<CodexOnBox> | undefined;
  const box = (): Promise<CodexOnBox> =>
    (onBox ??= import("./codex-host.ts").then(({ codexOnBox }) => codexOnBox(options)));
  const codex = once(async () => {
    const host = await box();
    const { codexStarter } = await import("./step/codex-step.ts");
    return codexStarter(host);
  });
  const codeMode = once(async () => {
    const [host, { codeModeStarter }] = await Promise.all([box(), import("./code-mode/code-mode-step.ts")]);
    return codeModeStarter(host);
  });
  return {
    starters: {
      codex: (...given) => new LoadingStep(codex(), ...given),
      "code-mode": (request, events, clocks) => {
        const fault = codeModeFault(options.environment, request.flow.name, request.step.name);
        return fault === undefined
          ? new LoadingStep(codeMode(), request, events, clocks)
          : refusedStep(fault);
      },
    },
    prepare: (kind) => {
      if (kind === "code-mode" && !isCodeModeOn(options.environment)) return;
      const begun = box().then((host) => {
        host.warm();
        return kind === "codex" ? codex() : codeMode();
      });
      // The step that comes says so.
      begun.catch(() => undefined);
    },
    stop: async () => (await onBox)?.stop(),
  };
}

function once<Value>(make: () => Value): () => Value {
  let made: { value: Value } | undefined;
  return () => (made ??= { value: make() }).value;
}

/** A step whose code is still being loaded: what it is told meanwhile, it is told when it is there. */
class LoadingStep implements RunningStep {
  readonly pid = undefined;
  readonly ended: RunningStep["ended"];
  readonly #step: Promise<RunningStep>;

  constructor(start: Promise<StepStarter>, request: StepRequest, events: StepEvents, clocks: StepClocks) {
    this.#step = start
      .then((begin) => begin(request, events, clocks))
      .catch((error: unknown) => refusedStep(internalError(String(error))));
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
