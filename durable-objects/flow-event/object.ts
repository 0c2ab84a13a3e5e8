/**
 * FlowEventObject: one per event id. It owns the event, its runs, their attempts, output and results, and is the only
 * writer of run state. Requests, sockets and the alarm bring it facts; contract/run-lifecycle decides; this class
 * commits the decision, answers, and lets the outbox tell the others.
 *
 * Every change goes through `#commit`: the records are written in one transaction (invariant 1), what they owe the
 * outside is performed after it (invariant 6), and whoever watches is told. Nothing else writes a run.
 */
import { DurableObject } from "cloudflare:workers";
import { supersededBy } from "../../contract/attention.ts";
import type { Decided } from "../../contract/approvals.ts";
import { continuationOf, sum, type BudgetUse } from "../../contract/budget.ts";
import { newClaimKey } from "../../contract/claim-proof.ts";
import type { FlowEvent, Lineage } from "../../contract/flow-event.ts";
import { parseCursor } from "../../contract/output-cursor.ts";
import type { Saying } from "../../contract/messages.ts";
import { retentionMs } from "../day-ledger/naming.ts";

import { answerPings, CLOSE, closeSocket, handleFrame } from "../kit/sockets.ts";
import { CHAIN_MAX_PER_ROOT, OUTPUT_PAGE_MAX_BYTES, RUNS_PER_EVENT_MAX } from "../../contract/limits.ts";
import {
  deadLetter,
  newRun,
  noteChained,
  type ChainedOutcome,
  type NewRun,
} from "../../contract/run-lifecycle.ts";
import { isTerminal, type RunRecord } from "../../contract/run-record.ts";
import { boundedRuns, runView, type EventView, type RunView } from "../../contract/run-view.ts";
import type { Env } from "../../worker/env.ts";
import { withToldUse } from "./budget-use.ts";
import { EventClock, type RunChange } from "./event-clock.ts";
import { ChangeWaiters } from "./change-waiters.ts";
import { raisedBy, runToRaise } from "./continuation.ts";
import { effectsOfChange, endOptions, positionOf } from "./rules.ts";
import type {
  AskedBy,
  MatchedStep,
  IngestRequest,
  IngestAnswer,
  KnownEvent,
  ReplayAnswer,
  OutputPage,
  AttemptPosition,
  RunGlance,
} from "./calls.ts";
import { EventOutbox } from "./event-outbox.ts";
import { glanceAt } from "./glance.ts";
import { EventStorage, type StoredEvent } from "./storage.ts";
import { RunSockets } from "./run-sockets.ts";
import {
  acknowledge,
  cancel,
  decide,
  raiseBudget,
  say,
  type AckAnswer,
  type CancelAnswer,
  type DecideAnswer,
  type RaiseAnswer,
  type SayAnswer,
  type Steered,
} from "./steer.ts";
import { TailSockets } from "./tail-sockets.ts";
import { eventView } from "./view.ts";

export class FlowEventObject extends DurableObject<Env> {
  readonly #storage: EventStorage;
  readonly #clock: EventClock;
  readonly #outbox: EventOutbox;
  readonly #runSockets: RunSockets;
  readonly #tails: TailSockets;
  readonly #waiters = new ChangeWaiters();

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#storage = new EventStorage(ctx.storage);
    this.#outbox = new EventOutbox(env, this.#storage, `event ${ctx.id.name ?? ctx.id.toString()}`);
    this.#tails = new TailSockets(ctx, this.#storage);
    this.#runSockets = new RunSockets(ctx, this.#storage, this.#tails, {
      commit: (run, before) => this.#commit([{ run, before }]),
      endOptions,
      leaseThread: async (run, threadId) => env.POOLS.getByName(run.pool).leaseThread(threadId, run.id),
      holderOf: async (run, attempt) => env.POOLS.getByName(run.pool).holderOf(run.id, attempt),
    });
    this.#clock = new EventClock({
      ctx,
      storage: this.#storage,
      outbox: this.#outbox,
      runSockets: this.#runSockets,
      retentionMs: retentionMs(env),
      commit: (changes) => this.#commit(changes),
    });
    answerPings(ctx);
    this.#clock.constructed();
  }

  /** Takes an event over, or answers what it already owns under this id (invariants 1 and 2). */
  async ingest(request: IngestRequest): Promise<IngestAnswer> {
    const now = Date.now();
    const stored = this.#storage.readEvent();
    if (stored !== undefined) return this.#duplicate(stored, request.identity, now);
    if (request.matches.length > RUNS_PER_EVENT_MAX) return { status: "full" };
    const event: StoredEvent = {
      v: 1,
      key: request.key,
      event: request.event,
      identity: request.identity,
      createdAt: request.createdAt,
      matched: request.matches.length,
      runCount: 0,
      lineage: request.lineage,
    };
    const runs = await this.#startRuns(event, request.matches, request.origin, now, {
      chat: request.chat,
      request: request.request,
      ...(request.session === undefined ? {} : { claimKey: request.session.claimKey }),
    });
    return { status: "accepted", conflict: false, runs: runs.map(runView) };
  }

  /** The answer to an id that this object already owns; undefined when it owns none. That look writes nothing. */
  recognize(identity: string): KnownEvent | undefined {
    const stored = this.#storage.readEvent();
    return stored && this.#duplicate(stored, identity, Date.now());
  }

  #duplicate(stored: StoredEvent, identity: string, now: number): KnownEvent {
    const conflict = stored.identity !== identity;
    if (conflict) {
      this.#storage.noteConflict(now);
      this.#outbox.listAgain();
    }
    // The runs that it started when it came: later ones are replays, of a step that is new since, too.
    const runs = this.#storage.readRuns().slice(0, stored.matched);
    return { status: "duplicate", conflict, runs: boundedRuns(runs.map(runView)) };
  }

  /** New runs of the stored event (invariant 5: a replay never touches the run that it repeats). The same request makes them once. */
  async replay(matches: MatchedStep[], asked: AskedBy = {}): Promise<ReplayAnswer> {
    const stored = this.#storage.readEvent();
    if (stored === undefined) return { kind: "unknown" };
    const made = this.#madeBy(asked.request);
    if (made.length > 0) return { kind: "runs", runs: made };
    if (stored.runCount + matches.length > RUNS_PER_EVENT_MAX) return { kind: "full" };
    const runs = await this.#startRuns(stored, matches, "replay", Date.now(), asked);
    return { kind: "runs", runs: runs.map(runView) };
  }

  #madeBy(request: string | undefined): RunView[] {
    if (request === undefined) return [];
    return this.#storage
      .readRuns()
      .filter((run) => run.request === request)
      .map((run) => this.#progressOf(run));
  }

  async #startRuns(
    stored: StoredEvent,
    matches: MatchedStep[],
    origin: RunRecord["origin"],
    now: number,
    more: Pick<NewRun, "continues" | "budgetAdded" | "chat" | "request" | "claimKey"> = {},
  ): Promise<RunRecord[]> {
    const earlier = origin === "replay" ? this.#storage.readRuns() : [];
    const runs = matches.map(({ flow, step }, index) =>
      newRun({
        eventKey: stored.key,
        n: stored.runCount + index + 1,
        event: stored.event,
        flow,
        step,
        origin,
        replayOf: earlier.findLast((run) => run.flow.name === flow.name && run.step.name === step.name)?.id,
        depth: stored.lineage.depth,
        claimKey: newClaimKey(),
        ...more,
        now,
      }),
    );
    const event = { ...stored, runCount: stored.runCount + runs.length };
    await this.#commit(
      runs.map((run) => ({ run, before: undefined })),
      event,
    );
    return runs;
  }

  /** The event and its runs, newest first. Undefined for an id that nobody sent; that look writes nothing. */
  view(): { event: EventView; runs: RunView[] } | undefined {
    const stored = this.#storage.readEvent();
    if (stored === undefined) return undefined;
    const newestFirst = this.#storage.readRuns().map(runView).reverse();
    return { event: eventView(stored), runs: boundedRuns(newestFirst) };
  }

  /** The event as it is stored, for a replay. */
  storedEvent(): FlowEvent | undefined {
    return this.#storage.readEvent()?.event;
  }

  runView(n: number): RunView | undefined {
    const run = this.#storage.readRun(n);
    return run && this.#progressOf(run);
  }

  /** For a card in a chat. Who looks watches: from here on that outbox is told of every change. */
  glance(n: number, outbox: string): RunGlance | undefined {
    const run = this.#storage.readRun(n);
    const event = this.#storage.readEvent()?.event;
    if (run === undefined || event === undefined) return undefined;
    this.#outbox.watchedBy(outbox, n);
    this.#runSockets.askForOutput(run);
    return glanceAt(this.#progressOf(run), event, this.#storage.readNewestOutput(n));
  }

  #progressOf(run: RunRecord): RunView {
    const told = withToldUse(this.#runSockets.withUse(run), this.#storage);
    return runView(this.#storage.withProgress(told));
  }

  output(n: number, after: string | undefined, maxBytes = OUTPUT_PAGE_MAX_BYTES): OutputPage | undefined {
    const run = this.#storage.readRun(n);
    const cursor = parseCursor(after);
    if (run === undefined || cursor === undefined) return undefined;
    // Whoever looks once will look again: by then what the runner holds back is here.
    this.#runSockets.askForOutput(run);
    const { chunks, more } = this.#storage.readOutput(n, cursor, maxBytes);
    return { output: chunks, more, complete: !more && isTerminal(run.status) };
  }

  /** Waits up to `waitMs` for the proof (invariant 10), so that nearly every answer already says how it ended. */
  async cancel(n: number, by: string, waitMs: number): Promise<CancelAnswer | undefined> {
    const answer = await this.#steer(n, (run, now) => cancel(run, by, now));
    if (answer?.kind !== "run" || isTerminal(answer.run.status) || waitMs === 0) return answer;
    const [run = answer.run] = await this.waitUntilOver([n], waitMs);
    return { kind: "run", run };
  }

  /** Records that somebody has dealt with how the run ended: it no longer needs attention. */
  acknowledge(n: number, by: string): Promise<AckAnswer | undefined> {
    return this.#steer(n, (run, now) => acknowledge(run, by, now));
  }

  decide(n: number, given: Decided): Promise<DecideAnswer | undefined> {
    return this.#steer(n, (run, now) => decide(run, given, now));
  }

  say(n: number, given: Saying): Promise<SayAnswer | undefined> {
    return this.#steer(n, (run, now) => say(run, given, now));
  }

  async raiseBudget(n: number, addition: BudgetUse, request?: string): Promise<RaiseAnswer | undefined> {
    const runs = this.#storage.readRuns();
    const run = raisedBy(request, runs) ?? runToRaise(n, runs);
    return run && this.#steer(run.n, (of, now) => raiseBudget(of, addition, now, request));
  }

  async #steer<Answer>(
    n: number,
    steer: (run: RunRecord, now: number) => Steered<Answer>,
  ): Promise<Answer | undefined> {
    const run = this.#storage.readRun(n);
    if (run === undefined) return undefined;
    const { answer, run: next } = steer(run, Date.now());
    if (next !== undefined) await this.#commit([{ run: next, before: run }]);
    return answer((shown) => this.#progressOf(shown));
  }

  /**
   * A new run that goes on in the thread of one that its budget has stopped. The same request makes it once. Where somebody
   * was first with another one, that run gets more instead.
   */
  async continueRun(
    n: number,
    match: MatchedStep,
    addition: BudgetUse,
    asked: AskedBy = {},
  ): Promise<ReplayAnswer> {
    const made = this.#madeBy(asked.request);
    if (made.length > 0) return { kind: "runs", runs: made };
    const raised = await this.raiseBudget(n, addition, asked.request);
    if (raised?.kind === "raised") return { kind: "runs", runs: [raised.run] };
    const stored = this.#storage.readEvent();
    const run = runToRaise(n, this.#storage.readRuns());
    const continues = run && continuationOf(run);
    if (stored === undefined || continues === undefined) return { kind: "unknown" };
    if (stored.runCount + 1 > RUNS_PER_EVENT_MAX) return { kind: "full" };
    const runs = await this.#startRuns(stored, [match], "continuation", Date.now(), {
      continues,
      budgetAdded: sum(run?.budgetAdded, addition),
      ...asked,
    });
    return { kind: "runs", runs: runs.map(runView) };
  }

  /** Answers when none of these runs can change any more, or after `timeoutMs`. */
  async waitUntilOver(ns: number[], timeoutMs: number): Promise<RunView[]> {
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      const runs = ns.flatMap((n) => this.#storage.readRun(n) ?? []);
      const left = deadline - Date.now();
      if (left <= 0 || runs.every((run) => isTerminal(run.status)))
        return boundedRuns(runs.map((run) => this.#progressOf(run)));
      await this.#waiters.next(left);
    }
  }

  /** The queue gave up on handing this attempt to its pool. */
  async deadLetter(n: number, attempt: number): Promise<void> {
    const run = this.#storage.readRun(n);
    if (run === undefined) return;
    const dead = deadLetter(run, attempt, Date.now());
    if (dead !== run) await this.#commit([{ run: dead, before: run }]);
  }

  /** An event that a result asked for, with the lineage that it gets; undefined once it was sent or refused. */
  chainedEvent(n: number, index: number): { event: unknown; lineage: Lineage } | undefined {
    const stored = this.#storage.readEvent();
    const run = this.#storage.readRun(n);
    if (stored === undefined || run?.chained?.[index]?.state !== "owed") return undefined;
    return {
      event: run.result?.next?.[index],
      lineage: { rootId: stored.lineage.rootId, parentRunId: run.id, depth: run.depth + 1 },
    };
  }

  /**
   * Takes one of the places that this root has for chained events, for the event at `index` of what `runId` asks for. The
   * same one again keeps its place. False: there is no place left. A root that was deleted counts nothing any more.
   */
  reserveChained(runId: string, index: number): boolean {
    if (this.#storage.readEvent() === undefined) return true;
    return this.#storage.transaction(() =>
      this.#storage.reserveChained(`${runId}/${index}`, CHAIN_MAX_PER_ROOT),
    );
  }

  async chainedOver(n: number, index: number, outcome: ChainedOutcome): Promise<void> {
    const run = this.#storage.readRun(n);
    if (run === undefined) return;
    const noted = noteChained(run, index, outcome, Date.now());
    if (noted !== run) await this.#commit([{ run: noted, before: run }]);
  }

  attemptPosition(n: number): AttemptPosition {
    return positionOf(this.#storage.readRun(n), Date.now());
  }

  /** The two sockets of a run: `/attach` for its runner, `/tail` for whoever watches. The Worker has checked the caller. */
  override fetch(request: Request): Response {
    const url = new URL(request.url);
    const n = Number(url.searchParams.get("n"));
    const run = this.#storage.readRun(n);
    if (run === undefined) return new Response("no such run", { status: 404 });
    if (url.pathname === "/attach") {
      const kind = url.searchParams.get("kind") ?? run.step.runner;
      return kind === run.step.runner
        ? this.#runSockets.accept(n)
        : new Response("not yours", { status: 403 });
    }
    const opened = this.#tails.accept(
      this.#progressOf(run),
      n,
      parseCursor(url.searchParams.get("after") ?? undefined),
    );
    if (opened === undefined) return new Response("too many tails", { status: 503 });
    this.#runSockets.follow(n, true);
    return opened;
  }

  override async webSocketMessage(socket: WebSocket, data: string | ArrayBuffer): Promise<void> {
    if (this.#runSockets.owns(socket))
      await handleFrame(socket, "event", () => this.#runSockets.receive(socket, data));
  }

  override async webSocketClose(socket: WebSocket, code: number, reason: string): Promise<void> {
    closeSocket(socket, code, reason);
    await this.#forget(socket);
  }

  override async webSocketError(socket: WebSocket): Promise<void> {
    closeSocket(socket, CLOSE.gone, "socket error");
    await this.#forget(socket);
  }

  async #forget(socket: WebSocket): Promise<void> {
    if (this.#runSockets.owns(socket)) {
      await this.#runSockets.closed(socket, Date.now());
      return;
    }
    const n = this.#tails.closed(socket);
    if (n !== undefined && !this.#tails.watched(n)) this.#runSockets.follow(n, false);
  }

  override async alarm(): Promise<void> {
    await this.#clock.alarm();
  }

  /** Earlier runs that need no attention any more, because a run that repeats them has just ended well. */
  #superseded(changes: RunChange[], now: number): RunChange[] {
    const repeats = changes.filter(
      ({ run, before }) =>
        (run.origin === "replay" || run.origin === "continuation") &&
        before !== undefined &&
        !isTerminal(before.status) &&
        isTerminal(run.status),
    );
    if (repeats.length === 0) return [];
    const others = this.#storage.readRuns().filter(({ n }) => !changes.some(({ run }) => run.n === n));
    const settled = new Map(
      repeats.flatMap(({ run }) => supersededBy(run, others, now)).map((run) => [run.n, run]),
    );
    return others.flatMap((before) => {
      const run = settled.get(before.n);
      return run === undefined ? [] : [{ run, before }];
    });
  }

  /** Writes records as one transaction, then tells everybody whom it concerns. */
  async #commit(changes: RunChange[], event?: StoredEvent): Promise<void> {
    const now = Date.now();
    const records = [...changes, ...this.#superseded(changes, now)].map(({ run, before }) => ({
      run: this.#outbox.noted(this.#storage.withTotals(this.#runSockets.withUse(run), before)),
      before,
    }));
    this.#storage.transaction(() => {
      if (event !== undefined)
        this.#storage.writeEvent(
          event,
          records.map(({ run }) => run),
        );
      else for (const { run } of records) this.#storage.writeRun(run);
    });
    for (const { run, before } of records) {
      this.#outbox.owe(effectsOfChange(before, run, now));
      if (before === undefined || before.rev === run.rev) continue;
      this.#tails.runChanged(this.#progressOf(run), run.n);
      this.#runSockets.changed(run, before);
    }
    const awaited = this.#waiters.wake();
    await this.#clock.committed(now, awaited);
  }
}
