/**
 * RunnerPool: one per pool name. It owns the backlog of waiting runs and the control sockets of the runners, and
 * decides who is offered what. It holds no run state: who has an attempt is decided by the claim at the event object,
 * and this pool's view is corrected from there whenever the two may differ (`#reconcile`).
 *
 * A run is `waiting`, or `held` by a runner from the offer until the event object says that the attempt is over
 * (`settle`). What is held counts against the runner's capacity and its concurrency key, also while the runner is
 * away: a lost socket is no sign that the work has stopped (invariant 7).
 */
import { DurableObject } from "cloudflare:workers";
import type { RunnerAction } from "../../contract/http-bodies.ts";
import { claimProof } from "../../contract/claim-proof.ts";
import { parseRunId } from "../../contract/ids.ts";
import { BACKLOG_MAX_RUNS, CONTROL_STALE_MS, OFFER_TIMEOUT_MS } from "../../contract/limits.ts";
import type { Reason } from "../../contract/run-record.ts";
import type { ControlUp, HelloFrame, RunRoute } from "../../contract/runner-link.ts";
import { describeFaults, readControlFrame } from "../../contract/validate.ts";
import { deployedFiles, deployedFlow } from "../../worker/deployed-flows.ts";
import type { Env } from "../../worker/env.ts";
import { AlarmSchedule } from "../kit/alarm.ts";
import { KeyedTimers } from "../kit/keyed-timers.ts";
import { answerPings, CLOSE, closeSocket, handleFrame } from "../kit/sockets.ts";
import { poolView, type PoolRunner, type PoolView } from "./view.ts";
import { steered, welcomedBack } from "./steering.ts";
import { assign, part, waitingReason, type HeldRun, type RunnerState } from "./rules.ts";
import { heldRuns, runnerStates } from "./runner-states.ts";
import { ControlSockets } from "./control-sockets.ts";
import { EarlyEnds } from "./early-ends.ts";
import { copiedJournal, keyHash, nextProcess, unwelcome } from "./hello.ts";
import type { OfferHolder } from "./calls.ts";
import { PoolStorage, type PoolRun } from "./storage.ts";

/**
 * How often runs that have been here for so long are compared with their event objects, should a `settle` have been
 * missed or have come before the message of the queue that it settles.
 */
const SWEEP_INTERVAL_MS = 600_000;
/**
 * How often the pool looks whether a silent runner shows life again while runs wait: the runtime answers its heartbeats
 * and wakes nobody. An agent that notices its own sleep sends a frame; this covers the others.
 */
const SILENT_LOOK_MS = 15_000;
/** A runner that is silent for longer than this is left to the sweep. */
const SILENT_LOOKS_END_MS = 600_000;
/** Runs compared in one sweep; of more, another part each time. */
const SWEEP_MAX_RUNS = 200;
/** A runner that declined although it had room, or could not be reached, is left alone for this long. */
const COOL_DOWN_MS = 2_000;
/** A runner that has been away for this long is forgotten. */
const FORGET_RUNNER_MS = 7 * 86_400_000;

export class RunnerPool extends DurableObject<Env> {
  readonly #storage: PoolStorage;
  readonly #alarm: AlarmSchedule;
  readonly #sockets: ControlSockets;
  readonly #name: string;
  /** Offers without an answer, by run: each is taken back when its time is over. */
  readonly #offers = new KeyedTimers();
  /** Runners that are not offered anything until their timer ends that, whatever the wall's clock does meanwhile. */
  readonly #cooling = new KeyedTimers();
  readonly #earlyEnds = new EarlyEnds();
  /** When this instance last compared its runs with their event objects, epoch ms. */
  #sweptAt = 0;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#storage = new PoolStorage(ctx.storage);
    this.#alarm = new AlarmSchedule(ctx.storage);
    this.#sockets = new ControlSockets(ctx);
    this.#name = ctx.id.name ?? "default";
    answerPings(ctx);
  }

  /**
   * Takes waiting attempts in; each may come several times. Returns the ids that do not fit into the backlog: the
   * queue brings them again later.
   */
  async enqueue(routes: RunRoute[]): Promise<{ refused: string[] }> {
    const now = Date.now();
    const refused: string[] = [];
    const doubtful: string[] = [];
    this.#storage.together(() => {
      for (const route of routes) {
        const known = this.#storage.runs.get(route.runId);
        if (known === undefined && this.#earlyEnds.covers(route)) continue;
        if (known === undefined && this.#storage.backlog.length >= BACKLOG_MAX_RUNS)
          refused.push(route.runId);
        else if (known === undefined || route.attempt > known.route.attempt) this.#putBack(route);
        else if (route.attempt === known.route.attempt && this.#isOverdue(known, now))
          doubtful.push(route.runId);
      }
      this.#offerWork();
    });
    await this.#reconcileAll(doubtful);
    if (doubtful.length > 0) this.#offerWork();
    await this.#armSweep();
    return { refused };
  }

  /**
   * Held, and its offer should long have been answered: a message for it says that nobody has claimed it, or it is one
   * that the queue brings late or twice. The event object knows which.
   */
  #isOverdue({ route, heldAt }: PoolRun, now: number): boolean {
    return heldAt !== undefined && !this.#offers.has(route.runId) && now - heldAt > OFFER_TIMEOUT_MS;
  }

  /** An attempt is over (or the run, while it waited): its place and its concurrency key are free. */
  async settle(runId: string, attempt: number): Promise<void> {
    const known = this.#storage.runs.get(runId);
    if (known === undefined) this.#earlyEnds.note(runId, attempt);
    if (known === undefined || known.route.attempt > attempt) return;
    this.#drop(runId);
    this.#offerWork();
    await this.#armSweep();
  }

  /**
   * Leave to write to an agent's thread, until the run is over. A thread has one writer: the answer names the run that
   * has it already, after a look whether that one still lives.
   */
  async leaseThread(threadId: string, runId: string): Promise<{ heldBy?: string | undefined }> {
    if (!this.#storage.runs.has(runId))
      return { heldBy: "nobody: this run has no place in its pool any more" };
    const writer = this.#storage.threadWriter(threadId);
    if (writer !== undefined && writer !== runId) {
      await this.#reconcile(writer);
      const now = this.#storage.threadWriter(threadId);
      if (now !== undefined && now !== runId) return { heldBy: now };
    }
    this.#storage.putThread(threadId, runId);
    return {};
  }

  /** Which runner this attempt is offered to, or runs on, for claims that carry no proof of an offer. */
  holderOf(runId: string, attempt: number): OfferHolder | undefined {
    const run = this.#storage.runs.get(runId);
    if (run?.runnerId === undefined || run.route.attempt !== attempt) return undefined;
    return { runnerId: run.runnerId, hasKey: this.#storage.runnerKey(run.runnerId) !== undefined };
  }

  waitingReason(runId: string): Reason | undefined {
    const run = this.#storage.runs.get(runId);
    if (run === undefined || run.runnerId !== undefined) return undefined;
    return waitingReason(run.route, this.#runnerStates(), this.#held(), deployedFlow(run.route.flow.name));
  }

  view(): PoolView {
    return poolView({
      pool: this.#name,
      runs: [...this.#storage.runs.values()],
      backlog: this.#storage.backlog,
      runners: [...this.#storage.runners.values()],
      states: this.#runnerStates(),
      held: this.#held(),
      seen: this.#sockets.seen(),
      deployed: deployedFlow,
    });
  }

  /** Carries out what an operator asks of a runner; writes only what changes. Asked again, it does no more. */
  steer(
    runnerId: string,
    action: RunnerAction,
  ): { kind: "done"; runner: PoolRunner } | { kind: "unknown" | "draining" } {
    const runner = this.#storage.runners.get(runnerId);
    if (runner === undefined) return { kind: "unknown" };
    const now = steered(runner, action);
    if (now === "draining") return { kind: "draining" };
    if (now !== runner) this.#storage.putRunner(now);
    if (now.drainAsked === true)
      for (const socket of this.#sockets.of(runnerId)) this.#sockets.send(socket, { type: "drain" });
    if (action === "resume") this.#offerWork();
    const shown = this.view().runners.find(({ id }) => id === runnerId);
    return shown === undefined ? { kind: "unknown" } : { kind: "done", runner: shown };
  }

  override fetch(): Response {
    return this.#sockets.accept();
  }

  override async webSocketMessage(socket: WebSocket, data: string | ArrayBuffer): Promise<void> {
    await handleFrame(socket, `pool ${this.#name}`, () => this.#received(socket, data));
  }

  async #received(socket: WebSocket, data: string | ArrayBuffer): Promise<void> {
    const read = readControlFrame(data);
    if (!read.ok) {
      this.#sockets.reject(socket, "bad_frame", describeFaults(read.faults));
      return;
    }
    const frame = read.value;
    if (frame.type === "hello") {
      await this.#hello(socket, frame);
      return;
    }
    const runnerId = this.#sockets.runnerOf(socket);
    if (runnerId === undefined) this.#sockets.reject(socket, "no_hello", "say hello first");
    else await this.#handle(socket, runnerId, frame);
  }

  async #handle(
    socket: WebSocket,
    runnerId: string,
    frame: Exclude<ControlUp, { type: "hello" }>,
  ): Promise<void> {
    const runner = this.#storage.runners.get(runnerId);
    if (runner === undefined) {
      this.#sockets.reject(socket, "unknown_runner", "say hello again");
      return;
    }
    switch (frame.type) {
      case "accept":
        if (this.#heldBy(runnerId, frame) !== undefined) this.#offers.stop(frame.runId);
        return;
      case "decline":
        await this.#declined(runnerId, frame);
        break;
      case "capacity":
        this.#storage.putRunner({ ...runner, capacity: frame.capacity, trouble: frame.trouble });
        break;
      case "flows":
        this.#storage.putRunner({ ...runner, flows: frame.flows });
        break;
      case "drain":
        this.#storage.putRunner({ ...runner, draining: true, drainAsked: undefined });
        return;
      case "goodbye":
        this.#takeBackOffers(runnerId);
        if (runner.paused === true) this.#storage.putRunner({ ...runner, leftAt: Date.now() });
        else this.#storage.deleteRunner(runnerId);
        closeSocket(socket, CLOSE.over, "goodbye");
        break;
    }
    this.#offerWork();
  }

  async #hello(socket: WebSocket, frame: HelloFrame): Promise<void> {
    const now = Date.now();
    this.#forgetOldRunners(now);
    const { runnerId, name, version, labels, capacity, trouble, flows, key } = frame;
    const before = this.#storage.runners.get(runnerId);
    const processes = nextProcess(frame, before, this.#sockets.isConnected(runnerId, socket, now));
    const refusal = unwelcome(frame, {
      name: this.#name,
      runners: this.#storage.runners,
      boundKey: this.#storage.runnerKey(runnerId),
    });
    if (refusal !== undefined || processes === "copied") {
      const { code, message } = refusal ?? copiedJournal(runnerId);
      this.#sockets.reject(socket, code, message);
      return;
    }
    this.#sockets.bind(socket, runnerId);
    if (key !== undefined) this.#storage.putRunnerKey(runnerId, keyHash(key), now);
    const draining = frame.draining === true;
    const said = { runnerId, name, version, labels, capacity, trouble, flows, draining, connectedAt: now };
    const runner = welcomedBack({ ...said, ...processes }, before);
    this.#storage.putRunner(runner);
    this.#cooling.stop(runnerId);
    this.#sockets.welcome(socket, this.#name, now);
    // A deploy closes the sockets, so that every runner says hello to the new one and gets its lists.
    for (const files of deployedFiles()) this.#sockets.send(socket, files);
    if (runner.drainAsked === true) this.#sockets.send(socket, { type: "drain" });
    // What this pool believes the runner to hold and the runner does not know of: ask who is right.
    const active = new Set(frame.active.map((run) => run.runId));
    const doubtful = [...this.#storage.runs.values()].filter(
      (run) => run.runnerId === runnerId && !active.has(run.route.runId),
    );
    await this.#reconcileAll(doubtful.map((run) => run.route.runId));
    this.#offerWork();
  }

  #forgetOldRunners(now: number): void {
    for (const runner of this.#storage.runners.values())
      if (runner.leftAt !== undefined && now - runner.leftAt > FORGET_RUNNER_MS)
        this.#storage.deleteRunner(runner.runnerId);
  }

  async #declined(runnerId: string, frame: Extract<ControlUp, { type: "decline" }>): Promise<void> {
    const run = this.#heldBy(runnerId, frame);
    if (run === undefined) return;
    if (frame.reason === "stale") {
      await this.#reconcile(frame.runId);
      return;
    }
    // A checkout that differs has been told before the decline, and then the runner fits other runs as well as ever.
    const { flow } = run.route;
    const known = this.#storage.runners.get(runnerId)?.flows ?? [];
    const seemsToFit = known.some(({ name, digest }) => name === flow.name && digest === flow.digest);
    if (frame.reason !== "digest_differs" || seemsToFit) this.#coolDown(runnerId);
    this.#putBack(run.route);
  }

  /** The run that an answer is about, if this runner holds that very attempt. */
  #heldBy(runnerId: string, { runId, attempt }: { runId: string; attempt: number }): PoolRun | undefined {
    const run = this.#storage.runs.get(runId);
    return run?.runnerId === runnerId && run.route.attempt === attempt ? run : undefined;
  }

  /** Keeps a runner that cannot take what it should be able to take from being offered the same again at once. */
  #coolDown(runnerId: string): void {
    this.#cooling.start(runnerId, COOL_DOWN_MS, () => {
      this.#offerWork();
    });
  }

  override webSocketClose(socket: WebSocket, code: number, reason: string): void {
    closeSocket(socket, code, reason);
    this.#left(socket);
  }

  override webSocketError(socket: WebSocket): void {
    closeSocket(socket, CLOSE.gone, "socket error");
    this.#left(socket);
  }

  /** Offers that the runner has not answered go back at once; what it has accepted stays its own. */
  #left(socket: WebSocket): void {
    const runnerId = this.#sockets.runnerOf(socket);
    const runner = runnerId === undefined ? undefined : this.#storage.runners.get(runnerId);
    if (runner === undefined || this.#sockets.of(runner.runnerId).some((other) => other !== socket)) return;
    this.#storage.putRunner({ ...runner, leftAt: Date.now() });
    this.#takeBackOffers(runner.runnerId);
    this.#offerWork();
  }

  #takeBackOffers(runnerId: string): void {
    for (const run of [...this.#storage.runs.values()])
      if (run.runnerId === runnerId && this.#offers.has(run.route.runId)) this.#putBack(run.route);
  }

  /** Into the backlog, held by nobody. */
  #putBack(route: RunRoute): void {
    this.#offers.stop(route.runId);
    this.#storage.putRun({ route });
  }

  /** Nothing waits or runs here under this id. One that was on offer: the runner will find its claim refused. */
  #drop(runId: string): void {
    this.#offers.stop(runId);
    this.#storage.deleteRun(runId);
  }

  #offerWork(): void {
    const assignments = assign(this.#storage.backlog, this.#runnerStates(), this.#held());
    for (const { route, runnerId } of assignments) this.#offer(route, runnerId);
  }

  #offer(route: RunRoute, runnerId: string): void {
    const socket = this.#sockets.of(runnerId)[0];
    if (socket === undefined) return;
    this.#storage.putRun({ route, runnerId, heldAt: Date.now() });
    this.#offers.start(route.runId, OFFER_TIMEOUT_MS, () => {
      this.#offerExpired(route.runId, runnerId);
    });
    this.#sockets.send(socket, {
      type: "offer",
      runId: route.runId,
      attempt: route.attempt,
      flow: route.flow,
      step: route.step,
      ...(route.claimKey === undefined ? {} : { proof: claimProof(route.claimKey, route.attempt, runnerId) }),
    });
  }

  #offerExpired(runId: string, runnerId: string): void {
    const run = this.#storage.runs.get(runId);
    if (run?.runnerId !== runnerId) return;
    this.#coolDown(runnerId);
    this.#putBack(run.route);
    this.#offerWork();
  }

  /** Brings this pool's view of a run in line with its event object, the only one that knows. */
  async #reconcile(runId: string): Promise<void> {
    const parsed = parseRunId(runId);
    const before = this.#storage.runs.get(runId);
    if (parsed === undefined || before === undefined) return;
    const position = await this.env.EVENTS.getByName(parsed.eventKey).attemptPosition(parsed.n);
    const now = this.#storage.runs.get(runId);
    if (now !== before) return; // It has moved on while we asked.
    if (position.kind === "nothing") {
      this.#drop(runId);
      return;
    }
    const { attempt } = position;
    const runnerId = position.kind === "running" ? position.runnerId : undefined;
    this.#offers.stop(runId);
    if (attempt === before.route.attempt && runnerId === before.runnerId) return;
    const route = { ...before.route, attempt };
    this.#storage.putRun(runnerId === undefined ? { route } : { route, runnerId, heldAt: Date.now() });
  }

  /** One whose event object does not answer stays as it is, and holds up nothing else. */
  async #reconcileAll(runIds: string[]): Promise<void> {
    await Promise.allSettled(runIds.map((runId) => this.#reconcile(runId)));
  }

  override async alarm(): Promise<void> {
    this.#alarm.fired();
    try {
      await this.#sweep(Date.now());
      this.#offerWork();
    } finally {
      await this.#armSweep();
    }
  }

  /** Looks between two sweeps compare nothing. */
  async #sweep(now: number): Promise<void> {
    if (now - this.#sweptAt < SWEEP_INTERVAL_MS) return;
    this.#sweptAt = now;
    const old = [...this.#storage.runs.values()].filter(
      ({ heldAt, route }) => (heldAt ?? route.queuedAt) < now - SWEEP_INTERVAL_MS,
    );
    await this.#reconcileAll(part(old, SWEEP_MAX_RUNS).map((run) => run.route.runId));
  }

  async #armSweep(): Promise<void> {
    if (this.#storage.runs.size === 0) return;
    const now = Date.now();
    await this.#alarm.wakeBy(now + (this.#awaitsSilent(now) ? SILENT_LOOK_MS : SWEEP_INTERVAL_MS));
  }

  /** Runs wait, and a runner with an open socket is silent: it may be asleep. */
  #awaitsSilent(now: number): boolean {
    if (this.#storage.backlog.length === 0) return false;
    return [...this.#sockets.seen().values()].some(
      (seen) => now - seen > CONTROL_STALE_MS && now - seen < SILENT_LOOKS_END_MS,
    );
  }

  #runnerStates(): RunnerState[] {
    return runnerStates(this.#storage, this.#sockets.seen(), this.#cooling);
  }

  #held(): HeldRun[] {
    return heldRuns(this.#storage.runs.values());
  }
}
