/**
 * The life of a step that Codex works for, whatever its work is: from an app-server to the proof that nothing of it is
 * left. Owns the clocks, the lease and the thread's session; what is asked in the thread goes to people, what it tells
 * goes on as items.
 *
 * K2. Whoever ends it first (a clock, a cancel, a bound of the work) says why; the turn is interrupted, then what its
 *     commands have left is ended and looked for (invariant 10): every command bears the attempt's id in its environment,
 *     and by Codex's own hand the thread's. No other step gets the thread before that is over.
 * K4. An app-server that dies takes the attempt with it, as lost.
 */
import type { AgentItem } from "../../../contract/agent-item.ts";
import type { ApprovalDecision } from "../../../contract/approvals.ts";
import { attemptId } from "../../../contract/ids.ts";
import { CODEX_KILL_GRACE_MS } from "../../../contract/limits.ts";
import type { AttemptEnd, EndReason, TreeProof } from "../../../contract/run-record.ts";
import { Countdown, type StepClocks } from "../../steps/clocks.ts";
import { attemptMark, endTree, ENVIRONMENTS_VISIBLE, processesOf } from "../../steps/process-tree.ts";
import { Redactor } from "../../steps/redaction.ts";
import type { RunningStep, StepEvents, StepRequest } from "../../steps/step.ts";
import type { Admission, CodexHost } from "../codex-host.ts";
import { ItemCoalescer } from "../item-coalescer.ts";
import type { RawLog } from "../raw-log.ts";
import { runKey } from "../sessions.ts";
import type { ServerLease } from "../shared-server.ts";
import { unlessStopped } from "../../unless-stopped.ts";
import { approvalHandlers, type Asked } from "./approval-requests.ts";
import type { StepPlace } from "./step-plan.ts";
import { isOfTheServer, stopFor, type Stop } from "./step-stop.ts";
import type { ThreadSettings } from "./open-thread.ts";
import { answersYet, ThreadSession } from "./thread-session.ts";
import { WorkRecord } from "./work-record.ts";

/** Codex gives it to each command. */
const THREAD_VARIABLE = "CODEX_THREAD_ID";
const NOTHING_LEFT: TreeProof = { empty: true, survivors: [] };

/** What the kinds of steps do differently. */
export interface StepWork {
  /** From a server to the reason why it is over; a result is told by then. */
  work(lease: ServerLease): Promise<Stop>;
  /**
   * What of a notification's items is worth telling; where none is, nobody has said anything. Without it all are, and
   * each notification counts as a word of Codex's.
   */
  sift?(items: AgentItem[]): AgentItem[];
  /** Each item that is, before it is handed on. */
  heard?(item: AgentItem): void;
  /** A message that steered a turn is part of it now. */
  shown?(messageId: string): void;
  /** The thread is closed, its processes are gone: what is held back goes on now, and may still say what went wrong. */
  ended?(stop: Stop): Stop | Promise<Stop>;
}

export interface StepLifeOptions {
  host: CodexHost;
  place: StepPlace;
  request: StepRequest;
  events: StepEvents;
  clocks: StepClocks;
}

export class StepLife implements RunningStep {
  readonly pid = undefined;
  readonly ended: Promise<AttemptEnd>;
  readonly host: CodexHost;
  readonly request: StepRequest;
  readonly events: StepEvents;
  readonly clocks: StepClocks;
  readonly cwd: string;
  readonly redactor: Redactor;
  readonly items: ItemCoalescer;
  readonly record = new WorkRecord();
  readonly #work: StepWork;
  readonly #raw: RawLog;
  readonly #wall: Countdown;
  readonly #silence: Countdown;
  #variables: Record<string, string>;
  #config: Admission["config"] = {};
  #lease: ServerLease | undefined;
  #session: ThreadSession | undefined;
  #stop: Stop | undefined;
  readonly #stopped = new AbortController();
  /** When that was, on the monotonic clock. */
  #stoppedAt: number | undefined;
  #paused = false;
  #asking = 0;
  #asked = 0;
  #canceledBy: string | undefined;

  constructor(given: StepLifeOptions, work: (life: StepLife) => StepWork) {
    const { host, place, request, events, clocks } = given;
    const { timeoutMs, silenceMs } = request.step;
    this.host = host;
    this.request = request;
    this.events = events;
    this.clocks = clocks;
    this.cwd = place.cwd;
    this.#variables = place.variables;
    this.redactor = new Redactor(host.secretsWith(request.env.secrets));
    this.items = new ItemCoalescer((item) => {
      events.output("agent", JSON.stringify(item));
    });
    this.#wall = new Countdown(timeoutMs, () => {
      this.halt("timeout", `the step ran longer than its timeout_ms of ${timeoutMs} ms`);
    });
    this.#silence = new Countdown(silenceMs, () => {
      this.halt("silence", `Codex said nothing for the step's silence_ms of ${silenceMs} ms`);
    });
    this.#raw = host.raw(this.#attempt);
    this.#work = work(this);
    this.#wall.start();
    this.#silence.start();
    this.ended = this.#run();
  }

  /** The whole environment of the commands that Codex runs. */
  get variables(): Record<string, string> {
    return this.#variables;
  }

  /** Of a config.toml, for each thread that is opened. */
  get config(): Admission["config"] {
    return this.#config;
  }

  get session(): ThreadSession | undefined {
    return this.#session;
  }

  /** Why it has to end, if it has to. */
  get stop(): Stop | undefined {
    return this.#stop;
  }

  /** Whose answer to which approval has ended the turn, if one has. */
  get canceledBy(): string | undefined {
    return this.#canceledBy;
  }

  /** Aborted as soon as it has to end: for whoever waits for others, who may take for ever. */
  get stopped(): AbortSignal {
    return this.#stopped.signal;
  }

  cancel(reason: "canceled" | "abandoned"): void {
    this.halt(reason);
  }

  /** Deltas are for eyes, and are left out; the server is everybody's, so it is not held up for one thread. */
  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
  }

  /** The first reason counts. */
  halt(reason: EndReason, message?: string): void {
    if (this.#stop !== undefined) return;
    this.#stop = { reason, ...(message === undefined ? {} : { error: { code: reason, message } }) };
    this.#stoppedAt = performance.now();
    this.#stopped.abort();
    void this.#session?.interrupt();
  }

  /** Takes a thread that was opened into these hands: what it tells and asks comes here from now on. */
  enter(threadId: string, { approvalPolicy }: ThreadSettings): ThreadSession {
    const lease = this.#lease;
    if (lease === undefined) throw new Error("a thread is entered before there is a server");
    const session = new ThreadSession({
      lease,
      threadId,
      cwd: this.cwd,
      redactor: this.redactor,
      told: (items, of) => {
        this.#raw.write(of);
        if (of.method === "item/started" && of.params.item.type === "fileChange")
          this.record.begins(of.params.item, this.cwd);
        this.#told(items);
      },
      shown: (id) => {
        this.#work.shown?.(id);
      },
    });
    lease.handle(
      threadId,
      approvalHandlers({
        policy: approvalPolicy,
        changeOf: (itemId) => this.record.changeOf(itemId),
        redacted: (value) => this.redactor.value(value) as typeof value,
        ask: (asked, withdrawn) => this.#ask(asked, withdrawn),
      }),
    );
    this.#session = session;
    return session;
  }

  /** Something was said: silence counts anew. While somebody is asked, nobody is silent. */
  restartSilence(): void {
    if (this.#asking === 0 && !this.#paused && this.#stop === undefined) this.#silence.start();
  }

  /** The work is done, and only an end is awaited: from now on nobody has to say anything. */
  stopSilence(): void {
    this.#silence.stop();
  }

  get #attempt(): string {
    return attemptId(this.request.runId, this.request.attempt);
  }

  /** A line for whoever reads the run's output. */
  say(text: string): void {
    this.events.output("system", `${this.redactor.text(text)}\n`);
  }

  async #run(): Promise<AttemptEnd> {
    let end: Stop;
    try {
      const { variables, config } = this.host.admit(this.cwd, this.#attempt);
      this.#variables = { ...this.#variables, ...variables };
      this.#config = config;
      this.#lease = await this.#leased();
      end = this.#stop ?? (await this.#work.work(this.#lease));
    } catch (error) {
      // The next step gets a server that answers, on a box that may have been mended.
      if (isOfTheServer(error)) this.#lease?.retire();
      end = this.#stop ?? stopFor(error, this.redactor);
    }
    return await this.#finish(end);
  }

  /** A server that comes when the step has to end by then is the next one's. */
  async #leased(): Promise<ServerLease> {
    const leased = this.host.servers.lease();
    try {
      return await unlessStopped(leased, this.stopped);
    } catch (error) {
      leased.then(
        (lease) => {
          lease.release();
        },
        () => undefined,
      );
      throw error;
    }
  }

  #told(items: AgentItem[]): void {
    const sifted = this.#work.sift?.(items);
    if (sifted === undefined || sifted.length > 0) this.restartSilence();
    for (const item of sifted ?? items) {
      this.record.note(item);
      this.#work.heard?.(item);
      if (!(this.#paused && item.state === "delta")) this.items.add(item);
    }
  }

  /** @param asked redacted */
  async #ask(asked: Asked, withdrawn: AbortSignal): Promise<ApprovalDecision> {
    const { conversation, attempt } = this.request;
    if (conversation === undefined) return "decline";
    this.#asked += 1;
    this.#asking += 1;
    this.#silence.stop();
    this.items.flush();
    const id = `a${attempt}-${this.#asked}`;
    const { decision, by } = await conversation.ask({ ...asked, id }, withdrawn);
    this.#asking -= 1;
    // One that is withdrawn is told as canceled, too: what ended the turn by then was something else.
    if (decision === "cancel" && !withdrawn.aborted) {
      this.#canceledBy ??= `${by} answered cancel to approval ${id} (${asked.title})`;
      // Of a command or a change Codex ends the turn itself; of others it has only a no.
      if (asked.kind === "permissions" || asked.kind === "tool") void this.#session?.interrupt();
    }
    this.restartSilence();
    this.say(`${asked.title}: ${decision} (${by})`);
    return decision;
  }

  async #finish(stop: Stop): Promise<AttemptEnd> {
    // Over, so that nothing that is still told starts a clock again.
    this.#stop ??= stop;
    for (const clock of [this.#wall, this.#silence]) clock.stop();
    // What the commands of a turn that is complete have left is there to be seen, or there is nothing.
    const proven = this.#session?.complete === true && ENVIRONMENTS_VISIBLE && (await this.#nothingSeen());
    if (!proven) await this.#session?.clean();
    const gone = proven ? Promise.resolve(NOTHING_LEFT) : this.#endCommands();
    const left = this.#session?.close() ?? (this.#lease && answersYet(this.#lease));
    this.#lease?.release(left, gone);
    void this.#raw.end();
    this.items.flush();
    const tree = await gone;
    if (tree.empty) this.host.leave(this.#attempt);
    const { reason, error } = (await this.#work.ended?.(stop)) ?? stop;
    // A later attempt goes on in this thread only if this one was cut off.
    if (reason === "exited") this.host.sessions.forget([runKey(this.request.runId)]);
    return {
      reason,
      // Where its commands run on another machine, nobody here has seen them go.
      ...(this.host.here ? { tree } : {}),
      ...(reason === "exited" ? { exit: { code: 0, signal: null } } : {}),
      ...(error === undefined ? {} : { error }),
    };
  }

  get #marks(): string[] {
    const threads = this.#session?.threads ?? [];
    return [attemptMark(this.#attempt), ...threads.map((threadId) => `${THREAD_VARIABLE}=${threadId}`)];
  }

  async #nothingSeen(): Promise<boolean> {
    const seen = await processesOf({ marks: this.#marks }).catch(() => undefined);
    return seen?.length === 0;
  }

  /**
   * An app-server that hangs may yet go on with the turn, and is ended with it. A box on which nobody can look (no more
   * files may be opened) proves nothing.
   */
  async #endCommands(): Promise<TreeProof> {
    const clocks = { ...this.clocks, killGraceMs: Math.min(this.clocks.killGraceMs, CODEX_KILL_GRACE_MS) };
    const since = this.#stoppedAt ?? performance.now();
    const seen = new Set<number>();
    const look = (): Promise<TreeProof> =>
      endTree({ marks: this.#marks }, clocks, (survivors) => {
        for (const pid of survivors) seen.add(pid);
        this.events.signalled(survivors);
      });
    const serverEnds = this.#session?.hung === true ? this.#lease?.end() : undefined;
    let proof = await look();
    if (serverEnds !== undefined) {
      await serverEnds;
      proof = await look();
    }
    const ms = Math.round(performance.now() - since);
    if (proof.empty && seen.size > 0) this.say(`its ${seen.size} processes were gone after ${ms} ms`);
    return proof;
  }
}
