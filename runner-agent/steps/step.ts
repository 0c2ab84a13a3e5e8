/** One attempt of a step on this box, as whoever starts it and whoever executes it see it. */
import type { Budget, BudgetUse } from "../../contract/budget.ts";
import type { FlowEvent } from "../../contract/flow-event.ts";
import type { StartableStep } from "../../contract/flow-manifest.ts";
import type { FlowResult } from "../../contract/flow-result.ts";
import type { AttemptEnd } from "../../contract/run-record.ts";
import type { OutputStream, StepContext } from "../../contract/runner-link.ts";
import type { StepEnvironment } from "../config/step-environment.ts";
import type { StepConversation } from "../conversation.ts";
import type { AsMade } from "../workspace/phantom-changes.ts";
import type { StepClocks } from "./clocks.ts";
import type { Executor } from "./systemd-scope.ts";

/** A worktree as its step sees it. */
export interface StepRoot {
  /** The folder, absolute. */
  root: string;
  /** The commit that it was made from, and what the step called that. */
  base: string;
  ref: string;
  /** Common git directory of its repository, without links. */
  repository: string;
  /** Files that git called changed before any step ran. */
  asMade?: AsMade;
}

export interface StepRequest {
  runId: string;
  attempt: number;
  /** `root`: the package's directory, absolute. */
  flow: { name: string; version: number; root: string; config?: Record<string, unknown> };
  step: StartableStep;
  /** The git worktree that was made for this attempt. */
  worktree?: StepRoot | undefined;
  /** Where the event and the box let it work, absolute; absent: the step's `cwd` says. */
  directory?: string | undefined;
  event: FlowEvent;
  replay: boolean;
  /** Where the step may send events to. */
  edgeUrl: string;
  env: StepEnvironment;
  /** The step's budget with what people have added to it. */
  budget?: Budget | undefined;
  /** What the runs before and earlier attempts have used of it, on whichever box, as far as the edge was told. */
  used?: BudgetUse | undefined;
  /** The thread of an earlier run to go on with, and what the runs before have used of the budget. */
  continues?: StepContext["continues"];
  /** Absent where nobody can be asked: then nothing is allowed that would need it. */
  conversation?: StepConversation;
  /** How the box runs commands; directly when absent. */
  executor?: Executor;
}

/** What a step tells while it runs. Nothing is called before `startStep` has returned, or after `ended`. */
export interface StepEvents {
  /** Redacted, and at most OUTPUT_CHUNK_MAX_BYTES of UTF-8. */
  output(stream: OutputStream, text: string): void;
  /** Each valid FLOW_RESULT as soon as its line is complete, redacted, behind the output before it. */
  result(result: FlowResult): void;
  /** A kill has begun, of the step or of what it left behind: the pids still there; again when they change. */
  signalled(survivors: number[]): void;
}

export interface RunningStep {
  /** Absent when the step could not be started. */
  readonly pid: number | undefined;
  /** Ends the step's processes. The first reason counts; a step that is over already stays as it ended. */
  cancel(reason: "canceled" | "abandoned"): void;
  /** Stops reading output, until `resume`: the step waits in its next write. Silence is not counted meanwhile. */
  pause(): void;
  resume(): void;
  /** Never rejects; resolves once, when the process tree is gone or proven not to go. */
  readonly ended: Promise<AttemptEnd>;
}

export type StepStarter = (request: StepRequest, events: StepEvents, clocks: StepClocks) => RunningStep;
