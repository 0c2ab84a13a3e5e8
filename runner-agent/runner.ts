/**
 * The runner agent: takes offers from its pool, runs them, hands everything over. It holds no state of its own but
 * the journal; what the edge counts is the edge's business.
 *
 * A1. It never runs more than its capacity, whatever it is offered.
 * A2. Draining takes no new work; what runs goes on, streams and is handed over (and the sockets reconnect for it).
 * A3. At a start, what a previous life left running is ended and proven gone before anything new is taken.
 * A4. While its journal cannot be written it takes nothing new, and says why; what runs goes on.
 */
import type { RunnerKind } from "../contract/flow-manifest.ts";
import type { FlowDigest } from "../contract/runner-link.ts";
import { Attempt, type AttemptHost } from "./attempt.ts";
import type { FlowCheckout } from "./checkout.ts";
import type { JournaledAttempt } from "./journal/entries.ts";
import { ControlLink, type Offer, type RunnerIdentity } from "./link/control-link.ts";
import { attemptId } from "../contract/ids.ts";
import { reapAttempt } from "./steps/process-tree.ts";
import { keptLine } from "./workspace/kept.ts";
import type { Workspaces } from "./workspace/workspaces.ts";

/** How often the flow packages are looked at for a change. */
const CHECKOUT_INTERVAL_MS = 5_000;
/** After a forced stop: how long what ended may still take to reach the edge; the journal keeps the rest. */
const FORCED_HANDOVER_MS = 3_000;

export interface RunnerOptions {
  host: Omit<AttemptHost, "findPackage"> & { workspaces: Workspaces };
  identity: RunnerIdentity;
  pool: string;
  checkout: FlowCheckout;
  /** A step of this kind is about to start. */
  prepare(kind: RunnerKind): void;
}

/** Why the agent stopped by itself. */
export class RejectedError extends Error {
  override readonly name = "RejectedError";
  readonly code: string;

  constructor(message: string, code: string) {
    super(message);
    this.code = code;
  }
}

export class Runner {
  readonly #options: RunnerOptions;
  readonly #host: AttemptHost & { workspaces: Workspaces };
  /** By attempt id. */
  readonly #attempts = new Map<string, Attempt>();
  /** Offers whose package is being looked at; they count as taken (A1). */
  readonly #considered = new Set<string>();
  #control: ControlLink | undefined;
  #checkoutTimer: NodeJS.Timeout | undefined;
  #lastLook: Promise<void> = Promise.resolve();
  #nextLook: Promise<void> | undefined;
  #draining = false;
  /** The edge has taken this runner at least once, so url and token are right. */
  #hasConnected = false;
  #finish: (error?: Error) => void = () => undefined;
  /** Settles when the agent has nothing more to do: drained, or refused by the edge. */
  readonly finished: Promise<void>;

  constructor(options: RunnerOptions) {
    this.#options = options;
    this.#host = { ...options.host, findPackage: ({ flow }) => options.checkout.find(flow) };
    this.finished = new Promise((resolve, reject) => {
      this.#finish = (error) => {
        if (error === undefined) resolve();
        else reject(error);
      };
    });
  }

  async start(): Promise<void> {
    const { journal } = this.#host;
    journal.watch(() => {
      this.#journalChanged();
    });
    await Promise.all(journal.attempts().map((left) => this.#takeUp(left)));
    await this.#pruneWorktrees();
    const { identity, pool, checkout } = this.#options;
    const { linkUrl, token, log } = this.#host;
    this.#control = new ControlLink({
      url: linkUrl,
      token,
      pool,
      identity,
      flows: () => checkout.digests(),
      active: () => [...this.#attempts.values()].map(({ runId, number }) => ({ runId, attempt: number })),
      draining: () => this.#draining,
      trouble: () => this.#trouble(),
      offered: (offer) => {
        void this.#offered(offer);
      },
      drainAsked: () => {
        if (!this.#draining) log("info", `draining, as the edge asks: ${this.active} run(s) to finish`);
        this.drain();
      },
      onDeployedFiles: (deployed) => {
        checkout.setDeployed(deployed);
        void this.#lookAtCheckout();
      },
      welcomed: () => {
        checkout.forgetDeployed();
        this.#hasConnected = true;
        log("info", `connected to pool ${pool}`, {
          capacity: identity.capacity,
          flows: checkout.digests().length,
        });
      },
      lost: (why) => {
        if (this.#hasConnected) log("warn", "control socket lost, connecting again", { why });
        else log("warn", `cannot reach the edge at ${this.#host.edgeUrl}, trying again`, { why });
      },
      rejected: (message, code) => {
        void this.forceStop(new RejectedError(message, code));
      },
    });
    this.#checkoutTimer = setInterval(() => {
      void this.#lookAtCheckout();
    }, CHECKOUT_INTERVAL_MS);
  }

  /** An attempt of a previous life: its processes are ended (A3), and what the journal has of it is handed over. */
  async #takeUp(left: JournaledAttempt): Promise<void> {
    const { journal, log, workspaces } = this.#host;
    if (journal.endSeq(left) === undefined) {
      const id = attemptId(left.runId, left.attempt);
      const tree = await reapAttempt(id);
      const kept = await workspaces.releaseLeft(id);
      if (kept !== undefined) journal.appendOutput(left, "system", keptLine(kept), Date.now());
      journal.appendEnd(left, {
        reason: "abandoned",
        tree,
        error: {
          code: "lost",
          message:
            "the runner agent stopped while the step ran; its processes were ended at the agent's restart",
        },
      });
      log("warn", "ended what a previous life left running", {
        run: left.runId,
        survivors: tree.survivors.length,
      });
    }
    this.#own(new Attempt(this.#host, left));
  }

  /** Before anything new is taken: nobody works in what a previous life left. */
  async #pruneWorktrees(): Promise<void> {
    const { log, workspaces } = this.#host;
    const { removed, kept } = await workspaces.pruneAtStart();
    for (const path of removed) log("info", `worktree removed: ${path}`);
    for (const each of kept) log("warn", keptLine(each).trimEnd());
  }

  async #offered(offer: Offer): Promise<void> {
    const { checkout } = this.#options;
    const id = attemptId(offer.runId, offer.attempt);
    if (this.#considered.has(id)) return;
    if (this.#attempts.has(id)) {
      // The pool has not heard of the first acceptance.
      this.#control?.accept(offer);
      return;
    }
    if (this.#draining) {
      this.#control?.decline(offer, "draining");
      return;
    }
    if (this.#trouble() !== undefined) {
      this.#control?.decline(offer, "failed");
      return;
    }
    if (this.#busy() >= this.#options.identity.capacity) {
      this.#control?.decline(offer, "busy");
      return;
    }
    this.#considered.add(id);
    const step = checkout.step(offer.flow.name, offer.step);
    if (step !== undefined) this.#options.prepare(step.runner);
    // Its socket opens meanwhile.
    const { runId, attempt: number, proof } = offer;
    const attempt = new Attempt(this.#host, { runId, attempt: number, proof });
    const looked = await checkout.find(offer.flow);
    this.#considered.delete(id);
    if ("found" in looked) {
      this.#control?.accept(offer);
      this.#own(attempt);
      attempt.take();
      return;
    }
    attempt.detach();
    // Said before the decline, so that the edge does not offer the same again.
    await this.#lookAtCheckout();
    this.#control?.decline(offer, "digest_differs");
  }

  /** Why nothing new can be taken (A4); undefined when it can. */
  #trouble(): string | undefined {
    const { trouble } = this.#host.journal;
    return trouble === undefined ? undefined : `its journal cannot be written: ${trouble}`;
  }

  #journalChanged(): void {
    const { journal, log } = this.#host;
    if (journal.trouble === undefined) log("info", "the journal can be written again");
    else
      log("error", `the journal cannot be written, no run is taken until it can: ${journal.trouble}`, {
        journal: journal.path,
      });
    this.#control?.announceCapacity();
    for (const attempt of this.#attempts.values()) attempt.regulate();
  }

  /**
   * Steps that run or are about to. One that has ended and is being handed over holds no place: the edge may know of
   * its end, and offer the next run, before its acknowledgement is here.
   */
  #busy(): number {
    return this.#considered.size + [...this.#attempts.values()].filter((attempt) => !attempt.ended).length;
  }

  #own(attempt: Attempt): void {
    this.#attempts.set(attempt.id, attempt);
    void attempt.over.then((fate) => {
      this.#attempts.delete(attempt.id);
      if (fate.kind === "refused") {
        this.#host.log("warn", `claim refused: ${fate.message}`, { run: attempt.runId, code: fate.code });
        this.#control?.decline({ runId: attempt.runId, attempt: attempt.number }, "stale");
      }
      this.#leaveWhenDrained();
    });
  }

  /** One look at a time. Calls that come while one waits for its turn share it: the edge sends many lists at once. */
  #lookAtCheckout(): Promise<void> {
    this.#nextLook ??= this.#lastLook.then(() => {
      this.#nextLook = undefined;
      return this.#reloadCheckout();
    });
    this.#lastLook = this.#nextLook.catch(() => undefined);
    return this.#nextLook;
  }

  async #reloadCheckout(): Promise<void> {
    const { checkout } = this.#options;
    if (!(await checkout.reload())) return;
    const flows: FlowDigest[] = checkout.digests();
    this.#host.log("info", "flow packages changed", { flows: flows.length, broken: checkout.faults.length });
    this.#control?.announceFlows(flows);
  }

  /** Takes nothing new; `finished` settles when all is handed over (A2). */
  drain(): void {
    if (this.#draining) return;
    this.#draining = true;
    this.#control?.announceDrain();
    this.#leaveWhenDrained();
  }

  get active(): number {
    return this.#attempts.size;
  }

  #leaveWhenDrained(): void {
    if (!this.#draining || this.#attempts.size > 0) return;
    clearInterval(this.#checkoutTimer);
    this.#control?.leave();
    this.#finish();
  }

  /** Ends every step now, proves it, hands over what it can in a short time and leaves the rest to the journal. */
  async forceStop(why?: Error): Promise<void> {
    this.#draining = true;
    const attempts = [...this.#attempts.values()];
    for (const attempt of attempts)
      attempt.stop("abandoned", why?.message ?? "the runner agent is stopping now");
    await Promise.all(attempts.map((attempt) => attempt.stepEnded()));
    const handedOver = Promise.all(attempts.map((attempt) => attempt.over));
    let timer: NodeJS.Timeout | undefined;
    await Promise.race([
      handedOver,
      new Promise((resolve) => {
        timer = setTimeout(resolve, FORCED_HANDOVER_MS);
      }),
    ]);
    clearTimeout(timer);
    this.#stopNow();
    this.#finish(why);
  }

  #stopNow(): void {
    clearInterval(this.#checkoutTimer);
    for (const attempt of this.#attempts.values()) attempt.detach();
    this.#control?.close();
  }
}
