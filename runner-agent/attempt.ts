/**
 * One attempt on this box: its run socket and its step, tied together. It owns both and ends both; `over` resolves
 * once, when nothing of it is left to do or to send.
 */
import type { FlowEvent } from "../contract/flow-event.ts";
import { resultFault, type FlowResult } from "../contract/flow-result.ts";
import { attemptId } from "../contract/ids.ts";
import { OUTPUT_MAX_BYTES } from "../contract/limits.ts";
import type { AttemptEnd, Reason } from "../contract/run-record.ts";
import type { OutputStream, StepContext } from "../contract/runner-link.ts";
import { mayRead } from "./back-pressure.ts";
import type { LoadedPackage } from "../catalog/load.ts";
import type { StartableStep } from "../contract/flow-manifest.ts";
import { unlessStopped } from "./unless-stopped.ts";
import { Conversation } from "./conversation.ts";
import type { StepEnvironment } from "./config/step-environment.ts";
import type { JournaledAttempt } from "./journal/entries.ts";
import type { Journal } from "./journal/journal.ts";
import { RunLink } from "./link/run-link.ts";
import type { AgentLog } from "./log.ts";
import type { StartStep } from "./steps/start-step.ts";
import { internalError } from "./steps/internal-error.ts";
import { reapAttempt } from "./steps/process-tree.ts";
import type { RunningStep } from "./steps/step.ts";
import type { Executor } from "./steps/systemd-scope.ts";
import { keptLine, resultWithKept } from "./workspace/kept.ts";
import type { PreparedWorkspace, Workspaces } from "./workspace/workspaces.ts";

/** Room that is left for the runner's own words when a step has used up its output. */
const SYSTEM_OUTPUT_BYTES = 64 * 1024;

/** What an attempt needs of a package: one of the checkout, or what a relay makes of a command. */
export interface RunnablePackage extends Pick<LoadedPackage, "root" | "config"> {
  flow: { name: string; version: number; steps: StartableStep[] };
}

/** What all attempts of an agent share. */
export interface AttemptHost {
  edgeUrl: string;
  /** ws: or wss: address of the edge. */
  linkUrl: string;
  token: string;
  runnerId: string;
  runnerName: string;
  journal: Journal;
  log: AgentLog;
  environment: StepEnvironment;
  startStep: StartStep;
  executor: Executor;
  workspaces: Pick<Workspaces, "prepare">;
  /** The end of an attempt is written down. */
  ended?(end: AttemptEnd): void;
  /** The package to run, or why this box cannot. */
  findPackage(context: StepContext): Promise<{ found: RunnablePackage } | { here: string | undefined }>;
}

/** Why an attempt left this box. */
export type AttemptFate = { kind: "handed_over" } | { kind: "refused"; code: string; message: string };

export class Attempt {
  readonly runId: string;
  readonly number: number;
  readonly over: Promise<AttemptFate>;
  readonly #host: AttemptHost;
  readonly #link: RunLink;
  readonly #conversation: Conversation;
  #settle: (fate: AttemptFate) => void = () => undefined;
  #lease: string | undefined;
  #step: RunningStep | undefined;
  /** From the claim until the end is written down. */
  #running: Promise<void> = Promise.resolve();
  /** Gives up what is waited for before the step begins. */
  readonly #preparing = new AbortController();
  /** The step's last word so far. */
  #result: FlowResult | undefined;
  /** Why its last word is none that can be handed over. */
  #invalid: Reason | undefined;
  #stopped: "canceled" | "abandoned" | undefined;
  #stoppedWhy: string | undefined;
  #ended = false;
  #reading = true;
  #outputBytes = 0;
  #droppedBytes = 0;

  /**
   * @param given.lease of an attempt of a previous life: it is handed over, not run
   * @param given.proof of the offer that the claim answers; an edge of protocol 1 sends none
   */
  constructor(
    host: AttemptHost,
    given: { runId: string; attempt: number; lease?: string; proof?: string | undefined },
  ) {
    this.#host = host;
    this.runId = given.runId;
    this.number = given.attempt;
    this.#lease = given.lease;
    this.#ended = given.lease !== undefined;
    this.over = new Promise((resolve) => {
      this.#settle = resolve;
    });
    this.#conversation = new Conversation({
      journalApproval: (request) => {
        host.journal.appendApproval(this.#journaled(), request);
        this.#link.journaled("urgent");
      },
      journalWithdrawal: (id) => {
        host.journal.appendWithdrawal(this.#journaled(), id);
        this.#link.journaled("urgent");
      },
      tell: (frame) => {
        this.#link.tell(frame);
      },
    });
    this.#link = new RunLink({
      url: host.linkUrl,
      token: host.token,
      runnerId: host.runnerId,
      runnerName: host.runnerName,
      ...given,
      journal: host.journal,
      conversation: this.#conversation,
      claimed: (context, lease) => {
        this.#lease = lease;
        this.#running = this.#start(context).catch(async (error: unknown) => {
          const end = await this.#failed(error);
          if (!this.#ended) this.#end(end);
        });
      },
      stop: (reason, why) => {
        this.stop(reason, why);
      },
      refused: (code, message) => {
        // One that has begun is stopped, however far it has come, and is over when nothing of it is left.
        if (this.#lease !== undefined) this.stop("abandoned", message);
        void this.#running.then(() => {
          this.#settle({ kind: "refused", code, message });
        });
      },
      done: () => {
        this.#settle({ kind: "handed_over" });
      },
      lost: (why) => {
        host.log("warn", "run socket lost, connecting again", { run: this.runId, why });
      },
      moved: () => {
        this.regulate();
      },
    });
  }

  /** This box runs it. Once, and only for one that is not handed over. */
  take(): void {
    this.#link.claim();
  }

  get id(): string {
    return attemptId(this.runId, this.number);
  }

  /** How it goes on its way to the edge. */
  get delivery(): RunLink["delivery"] {
    return this.#link.delivery;
  }

  /** Its step is over; what is left to do is to hand it over. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Ends the step; what it has printed and how it ended is still handed over. Idempotent. */
  stop(reason: "canceled" | "abandoned", why: string): void {
    if (this.#stopped === undefined && !this.#ended)
      this.#host.log("warn", `stopping: ${why}`, { run: this.runId });
    this.#stopped ??= reason;
    this.#stoppedWhy ??= why;
    this.#preparing.abort();
    this.#step?.cancel(reason);
  }

  /** The step's processes are gone and its end is written down, whether or not the edge knows it yet. */
  async stepEnded(): Promise<void> {
    await this.#running;
  }

  /** Reads the step on, or lets it wait: something has changed that decides it. */
  regulate(): void {
    const { journal } = this.#host;
    const reading = mayRead({
      owedBytes: journal.owedBytes(this.#journaled()),
      edgeConnected: this.#link.ready,
      journalWritable: journal.trouble === undefined,
      reading: this.#reading,
    });
    if (this.#step === undefined || reading === this.#reading) return;
    this.#reading = reading;
    if (reading) this.#step.resume();
    else this.#step.pause();
  }

  /** Leaves the rest to the journal and the next start. */
  detach(): void {
    this.#link.close();
  }

  #journaled(): JournaledAttempt {
    return { runId: this.runId, attempt: this.number, lease: this.#lease ?? "" };
  }

  async #start(context: StepContext): Promise<void> {
    // The disk may take nothing for any time.
    const { signal } = this.#preparing;
    await unlessStopped(this.#host.journal.written(), signal).catch(() => undefined);
    if (signal.aborted) {
      this.#endUnbegun();
      return;
    }
    const looked = await this.#host.findPackage(context);
    const loaded = "found" in looked ? looked.found : undefined;
    const step = loaded?.flow.steps.find((candidate) => candidate.name === context.step);
    if (loaded === undefined || step === undefined) {
      this.#blocked(context, "here" in looked ? looked.here : undefined);
      return;
    }
    const workspace = await this.#host.workspaces.prepare({
      attempt: this.id,
      step,
      event: context.event as FlowEvent,
      flowRoot: loaded.root,
      signal,
    });
    if (this.#stopped !== undefined) {
      if ("release" in workspace) await workspace.release({ processesGone: true });
      this.#endUnbegun();
      return;
    }
    if ("refused" in workspace) {
      this.#end({ reason: "refused", tree: { empty: true, survivors: [] }, error: workspace.refused });
      return;
    }
    if (workspace.describe !== undefined) this.#say(workspace.describe);
    this.#host.log("info", `running ${context.flow.name}/${context.step}`, {
      run: this.runId,
      attempt: this.number,
    });
    const end = await this.#run({ loaded, step, workspace, context }).catch((error: unknown) =>
      this.#failed(error),
    );
    const byItself = end.reason === "exited" || end.reason === "reaped";
    const error = end.error ?? (byItself ? this.#invalid : this.#lostError(end.reason));
    await this.#release(workspace, { ...end, error });
    this.#end({ ...end, error });
  }

  /** Stopped before its step began: nothing is started only to be ended. */
  #endUnbegun(): void {
    const reason = this.#stopped ?? "abandoned";
    this.#end({ reason, tree: { empty: true, survivors: [] }, error: this.#lostError(reason) });
  }

  async #run(given: {
    loaded: RunnablePackage;
    step: StartableStep;
    workspace: PreparedWorkspace;
    context: StepContext;
  }): Promise<AttemptEnd> {
    const { loaded, step, workspace, context } = given;
    this.#step = this.#host.startStep(
      {
        runId: this.runId,
        attempt: this.number,
        flow: {
          name: loaded.flow.name,
          version: loaded.flow.version,
          root: loaded.root,
          ...(loaded.config === undefined ? {} : { config: loaded.config }),
        },
        step,
        worktree: workspace.worktree,
        directory: workspace.directory,
        event: context.event as FlowEvent,
        replay: context.replay,
        edgeUrl: this.#host.edgeUrl,
        env: this.#host.environment,
        budget: context.budget,
        used: context.used,
        continues: context.continues,
        conversation: this.#conversation,
        executor: this.#host.executor,
      },
      {
        output: (stream, text) => {
          this.#output(stream, text);
        },
        result: (result) => {
          this.#said(result);
        },
        signalled: (survivors) => {
          if (this.#stopped === "canceled") this.#link.signalled(survivors);
        },
      },
    );
    return await this.#step.ended;
  }

  /** The last word counts: one that the edge would never take makes the attempt a failed one, as one that is no result. */
  #said(result: FlowResult): void {
    const wrong = resultFault(result);
    this.#invalid =
      wrong === undefined ? undefined : { code: "invalid_result", message: `the step's result ${wrong}` };
    if (wrong !== undefined) return;
    this.#result = result;
    this.#host.journal.appendResult(this.#journaled(), result);
    this.#link.journaled("urgent");
  }

  /** Nobody has foreseen it: the attempt is over, its processes are ended, and the agent goes on. */
  async #failed(error: unknown): Promise<AttemptEnd> {
    const reason = internalError(String(error));
    const stack = error instanceof Error ? error.stack : undefined;
    this.#host.log("error", reason.message, { run: this.runId, attempt: this.number, stack });
    return { reason: this.#stopped ?? "abandoned", tree: await reapAttempt(this.id), error: reason };
  }

  /** What stays of the workspace is said in the output, and in the result if there is one that counts. */
  async #release(workspace: PreparedWorkspace, end: AttemptEnd): Promise<void> {
    const kept = await workspace.release({ processesGone: end.tree?.empty !== false });
    if (kept === undefined) return;
    this.#say(keptLine(kept));
    const result =
      this.#result === undefined || end.error !== undefined ? undefined : resultWithKept(this.#result, kept);
    if (result !== undefined) this.#host.journal.appendResult(this.#journaled(), result);
  }

  /** The agent's own words in the run's output. */
  #say(line: string): void {
    this.#host.journal.appendOutput(this.#journaled(), "system", line, Date.now());
  }

  /** Why this agent gave the step up is what people should read, not only that it did. */
  #lostError(reason: AttemptEnd["reason"]): AttemptEnd["error"] {
    return reason === "abandoned" && this.#stoppedWhy !== undefined
      ? { code: "lost", message: this.#stoppedWhy }
      : undefined;
  }

  #output(stream: OutputStream, text: string): void {
    const bytes = Buffer.byteLength(text);
    // The edge keeps no more than this of a run; what it would drop need not travel. After the first piece dropped
    // also what would still fit: what is kept is the beginning, without a hole.
    if (this.#droppedBytes > 0 || this.#outputBytes + bytes > OUTPUT_MAX_BYTES - SYSTEM_OUTPUT_BYTES) {
      this.#droppedBytes += bytes;
      return;
    }
    this.#outputBytes += bytes;
    this.#host.journal.appendOutput(this.#journaled(), stream, text, Date.now());
    this.#link.journaled({ outputBytes: bytes });
    this.regulate();
  }

  /** The checkout is not what was deployed: said as a result, so that nobody takes it for a failure of the step. */
  #blocked(context: StepContext, here: string | undefined): void {
    const { name, digest } = context.flow;
    this.#host.journal.appendResult(this.#journaled(), {
      status: "blocked",
      message: `flow ${name} is deployed as ${digest}, and this runner's checkout has ${here ?? "no such flow"}: update the checkout or deploy again`,
      artifacts: { deployedDigest: digest, checkoutDigest: here ?? null },
    });
    this.#end({ reason: "refused", tree: { empty: true, survivors: [] } });
  }

  #end(end: AttemptEnd): void {
    if (this.#droppedBytes > 0)
      this.#say(
        `${this.#droppedBytes} bytes of output beyond ${OUTPUT_MAX_BYTES - SYSTEM_OUTPUT_BYTES} were not kept\n`,
      );
    this.#ended = true;
    this.#host.journal.appendEnd(this.#journaled(), end);
    this.#host.log("info", endText(end), {
      run: this.runId,
      attempt: this.number,
      code: end.exit?.code ?? undefined,
    });
    this.#link.journaled("urgent");
    this.#host.ended?.(end);
  }
}

/** The end of a step as a line of the agent's log. An exit is the normal end and has its code beside the text. */
function endText({ reason, error }: AttemptEnd): string {
  if (error !== undefined) return `step ended: ${error.message}`;
  return reason === "exited" ? "step ended" : `step ended: ${reason}`;
}
