/**
 * What a product sees of flows: the client's calls and the views that they answer, with the ancestor's names, so that
 * a product moves here by changing an import. Types alone, and of nothing but themselves: they are published.
 *
 * A field is absent when the server did not send it, or sent it as something else; `raw` holds what it did send.
 */

/** The semantic statuses: what a step's FLOW_RESULT can say. */
export type FlowResultStatus =
  "skipped" | "completed" | "changed" | "needs_intervention" | "blocked" | "failed";
/** How far a run's process is: queued, running, completed, failed, canceled, or what a newer server may add. */
export type FlowProcessStatus = string;
/** The result's status where there is one, else the process status, else "unknown". */
export type FlowEffectiveStatus = string;

/** An event as a product sends it. The id is its idempotency key: the same id is the same event. */
export interface FlowEvent<Payload = unknown> {
  id: string;
  type: string;
  source?: string | undefined;
  /** RFC 3339. */
  occurredAt?: string | undefined;
  /** RFC 3339; set at the edge when absent. */
  receivedAt?: string | undefined;
  /** Any JSON value; {} when absent. */
  payload?: Payload | undefined;
}

export interface FlowListRunsOptions {
  eventId?: string | undefined;
  /** A process or an effective status. */
  status?: string | undefined;
  /** 50 when absent, at most 500. */
  limit?: number | undefined;
  /** `nextCursor` of the page before. */
  cursor?: string | undefined;
}

export interface FlowListEventsOptions {
  type?: string | undefined;
  /** 50 when absent, at most 500. */
  limit?: number | undefined;
  /** `nextCursor` of the page before. */
  cursor?: string | undefined;
}

export interface FlowWaitOptions {
  /**
   * Seconds (at most 25), or true for 25: answer when the runs are over. In local mode, where the work is done here,
   * true is the default and means to the end; so many seconds at most; false: answer at once, and go on meanwhile.
   */
  wait?: boolean | number | undefined;
}
export type FlowDispatchOptions = FlowWaitOptions;
export type FlowReplayOptions = FlowWaitOptions;

export interface FlowOutputView {
  /** "stdout", "stderr" or "system"; "output" when the server does not say. */
  kind: string;
  text: string;
  createdAt?: string;
  raw: unknown;
}

export interface FlowAttemptView {
  /** Empty when the server gave none. */
  id: string;
  status?: string;
  attemptNumber?: number;
  workerId?: string;
  /** Epoch ms. */
  leaseExpiresAt?: number;
  startedAt?: string;
  completedAt?: string;
  error?: string;
  raw: unknown;
}

export interface FlowRunView {
  /** Empty when the server gave none. */
  id: string;
  eventId?: string;
  flowName?: string;
  flowVersion?: number;
  stepName?: string;
  runner?: string;
  backend?: string;
  processStatus?: FlowProcessStatus;
  resultStatus?: FlowResultStatus;
  /** The same as `effectiveStatus`. */
  status: FlowEffectiveStatus;
  effectiveStatus: FlowEffectiveStatus;
  /** Someone has to act before the flow can go on: blocked or needs_intervention. A failed run is not meant. */
  needsAttention: boolean;
  attemptCount: number;
  attempts: FlowAttemptView[];
  output: FlowOutputView[];
  latestOutput?: FlowOutputView;
  /** The FLOW_RESULT, as the server sent it. */
  resultPayload?: unknown;
  error?: string;
  createdAt?: string;
  startedAt?: string;
  completedAt?: string;
  updatedAt?: string;
  raw: unknown;
}

export interface FlowEventView {
  /** Empty when the server gave none. */
  id: string;
  type?: string;
  source?: string;
  occurredAt?: string;
  receivedAt?: string;
  payload?: unknown;
  /** Those of `runs` among them, each once. */
  runIds: string[];
  runs: FlowRunView[];
  createdAt?: string;
  raw: unknown;
}

export interface FlowRunList {
  runs: FlowRunView[];
  eventId?: string;
  /** Pass it as `cursor` for what comes next; absent on the last page. */
  nextCursor?: string;
  raw: unknown;
}

export interface FlowEventList {
  events: FlowEventView[];
  /** Pass it as `cursor` for what comes next; absent on the last page. */
  nextCursor?: string;
  raw: unknown;
}

export interface FlowDispatchResult {
  /** "accepted" or "duplicate". */
  status?: string;
  eventId?: string;
  runIds: string[];
  /** Steps that this request has started. */
  matched?: number;
  /** True for a duplicate. */
  idempotent?: boolean;
  /** Another event with this id is stored already; what was sent now is not run. */
  conflict?: boolean;
  event?: FlowEventView;
  runs: FlowRunView[];
  /** Local mode: what is wrong with flow packages that could therefore not be asked, "file:line:column what". */
  faults?: string[];
  raw: unknown;
}
export type FlowReplayResult = FlowDispatchResult;

export interface FlowCancelResult {
  run: FlowRunView;
  raw: unknown;
}

/** A product's view of whatever runs its flows. */
export interface FlowClient {
  /** Newest first. */
  listRuns(options?: FlowListRunsOptions): Promise<FlowRunList>;
  getRun(runId: string): Promise<FlowRunView>;
  /** Newest first. */
  listEvents(options?: FlowListEventsOptions): Promise<FlowEventList>;
  getEvent(eventId: string): Promise<FlowEventView>;
  /** The same id again is a duplicate: nothing runs twice. */
  dispatchEvent(event: FlowEvent, options?: FlowDispatchOptions): Promise<FlowDispatchResult>;
  /** New runs of a stored event. */
  replayEvent(eventId: string, options?: FlowReplayOptions): Promise<FlowReplayResult>;
  /** Asks for a run to be stopped; the run that comes back says how far that is. */
  cancelRun(runId: string): Promise<FlowCancelResult>;
}

/** Flows of a folder on this machine, run by this process. */
export interface FlowLocalClientOptions {
  /** Folder with the flow packages; the current one when absent. */
  cwd?: string | undefined;
  /** Where packages stand, relative to `cwd` or absolute; `.codex/flows` before `flows` when absent. */
  roots?: readonly string[] | undefined;
  /** Where events and runs are kept: in memory (the default), or in files (`.codex/flow-client` of `cwd`). */
  state?:
    | "memory"
    | { kind: "memory" }
    /** `dataDir` is the name of codex-flows for `path`. */
    | { kind: "file"; path?: string | undefined; dataDir?: string | undefined }
    | undefined;
  /** Variables that steps may get, as `.codex/runner.toml` decides; those of this process when absent. */
  env?: Readonly<Record<string, string | undefined>> | undefined;
  /** What steps are told as `CODEX_FLOW_URL`; that variable of `env` when absent. */
  edgeUrl?: string | undefined;
  /** Hears each change of a run and its output while it comes. What it throws ends the step. */
  onProgress?: ((progress: FlowProgress) => void) | undefined;
}

export type FlowProgress =
  { kind: "run"; run: FlowRunView } | { kind: "output"; runId: string; output: FlowOutputView };
