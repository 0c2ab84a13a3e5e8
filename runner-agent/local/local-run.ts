/**
 * One run in this process, from its turn to its end: the part that edge and agent play together elsewhere. The record
 * goes through the same life (contract/run-lifecycle), and each of its states is kept before what follows from it
 * begins. Owns the step and ends it when the run is canceled, or can no longer be kept.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { LoadedPackage } from "../../catalog/load.ts";
import type { FlowEvent } from "../../contract/flow-event.ts";
import type { FlowStep } from "../../contract/flow-manifest.ts";
import { newLease } from "../../contract/ids.ts";
import { OUTPUT_MAX_BYTES } from "../../contract/limits.ts";
import {
  claim,
  endAttempt,
  noteChained,
  recordResult,
  recordSignalled,
  requestCancel,
  type EndOptions,
} from "../../contract/run-lifecycle.ts";
import {
  isTerminal,
  waitingAttempt,
  type AttemptEnd,
  type Reason,
  type RunRecord,
} from "../../contract/run-record.ts";
import type { OutputStream } from "../../contract/runner-link.ts";
import { checkSentEvent } from "../../contract/validate.ts";
import type { StepEnvironment } from "../config/step-environment.ts";
import type { StartStep } from "../steps/start-step.ts";
import type { RunningStep } from "../steps/step.ts";
import { projectDirectory, type PlaceRequest, type ProjectRules } from "../workspace/project-directory.ts";
import { WorkspaceError } from "../workspace/workspace-error.ts";
import type { LocalOutput, LocalRun, LocalStore } from "./store.ts";

/** Hears of every change of a run, and of its output. What it throws ends the step. */
export interface RunWatcher {
  changed(run: RunRecord): void;
  output(run: RunRecord, output: LocalOutput): void;
}

/** What all runs of one dispatch share. */
export interface RunHost {
  store: LocalStore;
  watcher: RunWatcher;
  environment: StepEnvironment;
  /** Where steps may work for events that say so. */
  places: ProjectRules;
  startStep: StartStep;
  edgeUrl: string;
  /** How this machine calls itself. */
  runnerName: string;
}

/** What is run. */
export interface RunTarget {
  loaded: LoadedPackage;
  step: FlowStep;
  event: FlowEvent;
  /** Number of the first attempt, for a run that somebody else has tried before; else 1. */
  firstAttempt?: number | undefined;
}

/** What an attempt's end needs to know beside the record. */
export function endOptions(): EndOptions {
  return { now: Date.now(), random: Math.random(), checkEvent };
}

function checkEvent(event: unknown): ReturnType<EndOptions["checkEvent"]> {
  const checked = checkSentEvent(event);
  return checked.ok ? [] : checked.faults;
}

export class RunInProgress {
  readonly #host: RunHost;
  readonly #target: RunTarget;
  readonly #stored: LocalRun;
  readonly #backoff = new AbortController();
  readonly #over = Promise.withResolvers<undefined>();
  #run: RunRecord;
  #step: RunningStep | undefined;
  #saving: Promise<void> | undefined;
  #failure: { error: unknown } | undefined;

  /** @param stored the run as it was kept, queued */
  constructor(host: RunHost, target: RunTarget, stored: LocalRun) {
    this.#host = host;
    this.#target = target;
    this.#stored = stored;
    this.#run = stored.run;
    // Whoever performs it hears of a failure; nobody has to wait for the end.
    this.#over.promise.catch(() => undefined);
  }

  get run(): RunRecord {
    return this.#run;
  }

  get stored(): LocalRun {
    return { ...this.#stored, run: this.#run };
  }

  /** The run has ended and its end is kept. Rejects when it cannot be kept. */
  get over(): Promise<undefined> {
    return this.#over.promise;
  }

  /** Takes it to its end, through all its attempts. Throws what keeps the run from being kept. */
  async perform(): Promise<void> {
    try {
      while (this.#run.status === "queued") {
        const waitMs = this.#run.notBefore - Date.now();
        if (waitMs > 0)
          await sleep(waitMs, undefined, { signal: this.#backoff.signal }).catch(() => undefined);
        await this.#attempt();
      }
      await this.#kept();
      this.#over.resolve(undefined);
    } catch (error) {
      this.#over.reject(error);
      throw error;
    }
  }

  /** Asks for its end; the record says how far that is. */
  cancel(by: string): void {
    this.#change(requestCancel(this.#run, by, Date.now()));
    this.#backoff.abort();
    this.#step?.cancel("canceled");
  }

  /** An event that its result asked for was taken over. */
  async chained(index: number, runIds: string[]): Promise<void> {
    this.#change(noteChained(this.#run, index, { state: "sent", runIds }, Date.now()));
    await this.#kept();
  }

  async #attempt(): Promise<void> {
    const number = waitingAttempt(this.#run);
    if (number === undefined) return;
    const { runnerName } = this.#host;
    const by = { attempt: number, runnerId: `local-${process.pid}`, runnerName, lease: newLease() };
    const claimed = claim(this.#run, by, Math.max(Date.now(), this.#run.notBefore));
    if (claimed.kind === "refused") throw new Error(claimed.reason.message);
    this.#change(claimed.run);
    // No step starts that is not written down: a crash could not be told from a run that never began.
    await this.#kept();
    const end = await this.#perform(number);
    this.#change(endAttempt(this.#run, number, this.#nextSeq(number), end, endOptions()));
    await this.#kept();
  }

  async #perform(number: number): Promise<AttemptEnd> {
    if (this.#run.cancel !== undefined) return { reason: "canceled", tree: { empty: true, survivors: [] } };
    const { loaded, step, event, firstAttempt = 1 } = this.#target;
    const { name, version } = loaded.flow;
    const place = placeOf({ step, event }, this.#host.places);
    if ("refused" in place)
      return { reason: "refused", tree: { empty: true, survivors: [] }, error: place.refused };
    this.#step = this.#host.startStep(
      {
        runId: this.#run.id,
        attempt: firstAttempt + number - 1,
        flow: {
          name,
          version,
          root: loaded.root,
          ...(loaded.config === undefined ? {} : { config: loaded.config }),
        },
        step,
        directory: place.directory,
        event,
        replay: this.#run.origin === "replay",
        edgeUrl: this.#host.edgeUrl,
        env: this.#host.environment,
      },
      {
        output: (stream, text) => {
          this.#output(number, stream, text);
        },
        result: (result) => {
          this.#change(recordResult(this.#run, number, this.#nextSeq(number), result, Date.now()));
        },
        signalled: (survivors) => {
          this.#change(recordSignalled(this.#run, number, survivors, Date.now()));
        },
      },
    );
    try {
      return await this.#step.ended;
    } finally {
      this.#step = undefined;
    }
  }

  /** Nothing is lost on the way here, so each message has the number behind the last one. */
  #nextSeq(number: number): number {
    return (this.#run.attempts[number - 1]?.ackedSeq ?? 0) + 1;
  }

  #output(attempt: number, kind: OutputStream, text: string): void {
    const output: LocalOutput = { attempt, kind, text, at: Date.now() };
    const bytes = Buffer.byteLength(text);
    const { outputBytes, outputDropped } = this.#run;
    // What is kept is the beginning, without a hole: behind the first piece dropped nothing is kept.
    const fits = outputDropped === 0 && outputBytes + bytes <= OUTPUT_MAX_BYTES;
    this.#run = {
      ...this.#run,
      ...(fits ? { outputBytes: outputBytes + bytes } : { outputDropped: outputDropped + bytes }),
    };
    this.#guard(() => {
      if (fits) this.#host.store.appendOutput(this.stored, output);
      this.#host.watcher.output(this.#run, output);
    });
  }

  /** The next state: told at once, kept as soon as the one before is. */
  #change(next: RunRecord): void {
    if (next === this.#run) return;
    this.#run = next;
    this.#guard(() => {
      this.#host.watcher.changed(next);
    });
    this.#saving ??= this.#save();
  }

  async #save(): Promise<void> {
    try {
      for (let kept: RunRecord | undefined; kept !== this.#run;) {
        kept = this.#run;
        await this.#host.store.save(this.stored);
      }
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#saving = undefined;
    }
  }

  /** Everything so far is kept. Throws when it cannot be. */
  async #kept(): Promise<void> {
    await this.#saving;
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  #guard(act: () => void): void {
    try {
      act();
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    this.#failure ??= { error };
    this.#step?.cancel("abandoned");
  }
}

/**
 * Local mode makes no worktrees. What wants one is not run elsewhere: it would look at other files than it says, and may commit,
 * reset or push what is somebody's work there.
 */
function placeOf(
  request: PlaceRequest & Pick<RunTarget, "step">,
  rules: ProjectRules,
): { directory: string | undefined } | { refused: Reason } {
  if (request.step.worktree !== undefined)
    return {
      refused: {
        code: "worktree_unavailable",
        message: `step ${request.step.name} works in a git worktree, which only a runner agent makes: send its event to an edge that has one (codex-flow dev starts both)`,
      },
    };
  try {
    return { directory: projectDirectory(request, rules) };
  } catch (error) {
    if (error instanceof WorkspaceError) return { refused: { code: error.code, message: error.message } };
    throw error;
  }
}

/** Whether the run is over and nothing of it is owed any more. */
export function isSettled(run: RunRecord): boolean {
  return isTerminal(run.status) && run.chained?.some(({ state }) => state === "owed") !== true;
}
