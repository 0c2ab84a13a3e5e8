/**
 * Local mode: events are matched, kept and run by this process. What the edge, the queue and an agent do elsewhere
 * happens here in one place, by the same rules (matching, life of a run, chained events) and with the same steps.
 *
 * L1. An event is kept together with its runs before anything starts; the same id again starts nothing.
 * L2. Runs go one after another, in the order in which they were asked for: steps of one workspace expect no company.
 * L3. What happened is read from the store; only a run that this process works on is known better here.
 */
import { setTimeout as sleep } from "node:timers/promises";
import {
  ConflictError,
  NotFoundError,
  PayloadTooLargeError,
  ValidationError,
} from "../../contract/errors.ts";
import { eventIdentity, normalizeEvent, type FlowEvent, type Lineage } from "../../contract/flow-event.ts";
import { eventKey, parseRunId } from "../../contract/ids.ts";
import { EVENT_MAX_BYTES, RUNS_PER_EVENT_MAX } from "../../contract/limits.ts";
import type { StepFilter, StepMiss } from "../../contract/matching.ts";
import { newRun } from "../../contract/run-lifecycle.ts";
import { isTerminal, type RunRecord } from "../../contract/run-record.ts";
import { iso } from "../../contract/run-view.ts";
import { checkFlowEvent } from "../../contract/validate.ts";
import { findStep, matchLive, type FlowFolder, type LocalMatch } from "./live-catalog.ts";
import { LocalBox } from "./local-box.ts";
import { RunInProgress, type RunHost, type RunTarget, type RunWatcher } from "./local-run.ts";
import { thisProcess } from "./owner.ts";
import { recover } from "./recovery.ts";
import type { LocalEvent, LocalOutput, LocalRun, LocalStore, StoredEvent } from "./store.ts";

/** Between two looks at a run that another process works on. */
const LOOK_AGAIN_MS = 100;

export interface LocalFlowsOptions extends FlowFolder {
  store: LocalStore;
  /** What steps may get a part of. */
  environment: Readonly<Record<string, string | undefined>>;
  edgeUrl: string;
  watcher: RunWatcher;
}

/** What became of an event that was given to this process. */
export interface LocalAnswer {
  status: "accepted" | "duplicate";
  eventId: string;
  runIds: string[];
  matched: number;
  /** Another event is kept under this id. */
  conflict: boolean;
  misses: StepMiss[];
  faults: string[];
  /** The runs that were started here are over, and what they have asked for. Rejects when they cannot be kept. */
  work: Promise<void>;
}

interface Dispatch {
  lineage: Lineage;
  origin: RunRecord["origin"];
  only?: StepFilter;
  createdAt?: number;
}

export class LocalFlows {
  readonly #options: LocalFlowsOptions;
  readonly #box: LocalBox;
  readonly #live = new Map<string, RunInProgress>();
  #turn: Promise<unknown> = Promise.resolve();
  /** Who has asked for the end of everything. */
  #stopped: string | undefined;

  constructor(options: LocalFlowsOptions) {
    this.#options = options;
    this.#box = new LocalBox(options.cwd, options.environment);
  }

  /** Throws ValidationError or PayloadTooLargeError for what is no event; LocalStateError. */
  async dispatch(input: unknown): Promise<LocalAnswer> {
    const event = readEvent(input);
    return this.#dispatch(event, { lineage: { rootId: event.id, depth: 0 }, origin: "event" });
  }

  /** New runs of a kept event, matched against the packages as they are now. */
  async replay(eventId: string, only: StepFilter = {}): Promise<LocalAnswer> {
    const key = await eventKey(eventId);
    const stored = await this.#options.store.read(key);
    if (stored === undefined) throw unknownEvent(eventId);
    const { event, lineage, createdAt } = stored.event;
    if (stored.runs.length === 0)
      return this.#dispatch(event, { lineage, origin: "replay", only, createdAt });
    const { matches, misses, faults } = await matchLive(this.#options, event, only);
    if (stored.runs.length + matches.length > RUNS_PER_EVENT_MAX)
      throw new ConflictError(
        "too_many_runs",
        `event ${eventId} already has as many runs as an event may have (${RUNS_PER_EVENT_MAX})`,
      );
    const host = await this.#host();
    const started: RunInProgress[] = [];
    for (const match of matches) {
      const earlier = stored.runs.findLast(({ run }) => isRunOf(run, match));
      const make = (n: number) => localRun(stored.event, match, n, "replay", earlier?.run.id);
      const kept = await this.#options.store.add(key, stored.runs.length + 1, make);
      started.push(this.#begin(host, { ...match, event }, kept));
    }
    return { ...accepted(stored.event, started), misses, faults, work: this.#perform(started, lineage) };
  }

  /** One step, whatever triggers it. `runId` and `firstAttempt` are those of somebody who has it run here. */
  async runStep(
    flow: string,
    step: string,
    input: unknown,
    given: {
      runId?: string | undefined;
      firstAttempt?: number | undefined;
      replay?: boolean | undefined;
    } = {},
  ): Promise<LocalAnswer> {
    const event = readEvent(input);
    const match = await findStep(this.#options, flow, step);
    const stored: LocalEvent = await localEvent(event, { lineage: { rootId: event.id, depth: 0 } }, 1);
    const made = localRun(stored, match, 1, given.replay === true ? "replay" : "event");
    const run = { ...made, run: { ...made.run, id: given.runId ?? made.run.id } };
    const host = await this.#host();
    if (!(await this.#options.store.create(stored, [run])))
      throw new ConflictError("event_exists", `event ${event.id} has runs here already: replay it`);
    const started = [this.#begin(host, { ...match, event, firstAttempt: given.firstAttempt }, run)];
    return {
      ...accepted(stored, started),
      misses: [],
      faults: [],
      work: this.#perform(started, stored.lineage),
    };
  }

  /** Asks for the end of a run that this process works on. */
  async cancel(runId: string, by: string): Promise<RunRecord> {
    const live = this.#live.get(runId);
    if (live !== undefined && !isTerminal(live.run.status)) {
      live.cancel(by);
      return live.run;
    }
    const { run, owner } = await this.#find(runId);
    if (isTerminal(run.status))
      throw new ConflictError(
        "run_over",
        `run ${runId} is already over: ${run.result?.status ?? run.status}`,
      );
    throw new ConflictError(
      "run_elsewhere",
      `run ${runId} is worked on by process ${owner.pid} on ${owner.host}: cancel it there, or end that process`,
    );
  }

  /** Asks for the end of everything that runs here or waits for its turn; nothing starts any more. */
  stop(by: string): void {
    this.#stopped = by;
    for (const live of this.#live.values()) live.cancel(by);
  }

  async event(id: string): Promise<StoredEvent> {
    const stored = await this.#options.store.read(await eventKey(id));
    if (stored === undefined) throw unknownEvent(id);
    return this.#current(stored);
  }

  async run(id: string): Promise<{ run: RunRecord; output: LocalOutput[] }> {
    const found = await this.#find(id);
    return { run: found.run, output: await this.#options.store.readOutput(found) };
  }

  async list(): Promise<StoredEvent[]> {
    const all: StoredEvent[] = [];
    for (const stored of await this.#options.store.list()) all.push(await this.#current(stored));
    return all;
  }

  /** Resolves when these runs are over, whoever works on them; when the time is up; or when all is to stop. */
  async over(runIds: string[], deadline: number): Promise<void> {
    const isOver = async (id: string) => isTerminal((await this.#find(id)).run.status);
    for (const id of runIds) {
      const live = this.#live.get(id);
      if (live !== undefined) await before(deadline, live.over);
      else
        while (Date.now() < deadline && this.#stopped === undefined && !(await isOver(id)))
          await sleep(LOOK_AGAIN_MS);
    }
  }

  async #dispatch(event: FlowEvent, dispatch: Dispatch): Promise<LocalAnswer> {
    const { store } = this.#options;
    const key = await eventKey(event.id);
    // Matched first: what keeps an event from being matched leaves nothing behind that its sender's retry would meet.
    const { matches, misses, faults } = await matchLive(this.#options, event, dispatch.only);
    const host = await this.#host();
    const stored = await localEvent(event, dispatch, matches.length);
    const known = await store.read(key);
    const repeated = matches.length === 0 && dispatch.origin !== "replay";
    if (known !== undefined && (known.runs.length > 0 || repeated))
      return duplicate(known, event, misses, faults);
    if (matches.length === 0) {
      if (known === undefined) await store.keepUnmatched(stored);
      return { ...accepted(stored, []), misses, faults, work: Promise.resolve() };
    }
    const runs = matches.map((match, index) => localRun(stored, match, index + 1, dispatch.origin));
    if (!(await store.create(stored, runs))) {
      // Another process was first, between the look and this.
      const first = await store.read(key);
      if (first === undefined) throw unknownEvent(event.id);
      return duplicate(first, event, misses, faults);
    }
    const started = matches.flatMap((match, index) => {
      const run = runs[index];
      return run === undefined ? [] : [this.#begin(host, { ...match, event }, run)];
    });
    return { ...accepted(stored, started), misses, faults, work: this.#perform(started, dispatch.lineage) };
  }

  #begin(host: RunHost, target: RunTarget, stored: LocalRun): RunInProgress {
    const live = new RunInProgress(host, target, stored);
    this.#live.set(stored.run.id, live);
    host.watcher.changed(stored.run);
    if (this.#stopped !== undefined) live.cancel(this.#stopped);
    return live;
  }

  /** Each in its turn (L2); the events that a run asks for go behind everything that waits already. */
  #perform(runs: RunInProgress[], lineage: Lineage): Promise<void> {
    const works = runs.map((live) => {
      const turn = this.#turn.then(async () => {
        try {
          await live.perform();
          return await this.#sendChained(live, lineage);
        } finally {
          this.#live.delete(live.run.id);
        }
      });
      this.#turn = turn.catch(() => undefined);
      return turn.then((chained) => Promise.all(chained));
    });
    const work = Promise.all(works)
      .then(() => undefined)
      .finally(() => this.#atRest());
    // Who does not wait for it reads from the store what became of the runs.
    work.catch(() => undefined);
    return work;
  }

  async #atRest(): Promise<void> {
    if (this.#live.size === 0) await this.#box.rest();
  }

  async #sendChained(live: RunInProgress, { rootId, depth }: Lineage): Promise<Array<Promise<void>>> {
    const works: Array<Promise<void>> = [];
    for (const { index, state } of live.run.chained ?? []) {
      if (state !== "owed") continue;
      const event = readEvent(live.run.result?.next?.[index]);
      const lineage = { rootId, parentRunId: live.run.id, depth: depth + 1 };
      const { runIds, work } = await this.#dispatch(event, { lineage, origin: "next" });
      await live.chained(index, runIds);
      works.push(work);
    }
    return works;
  }

  async #host(): Promise<RunHost> {
    const { store, watcher, edgeUrl } = this.#options;
    return { store, watcher, edgeUrl, ...(await this.#box.look()) };
  }

  async #find(runId: string): Promise<LocalRun> {
    const live = this.#live.get(runId);
    if (live !== undefined) return live.stored;
    const key = parseRunId(runId)?.eventKey;
    const stored = key === undefined ? undefined : await this.#options.store.read(key);
    const found = stored && (await this.#current(stored)).runs.find(({ run }) => run.id === runId);
    if (found === undefined) throw new NotFoundError("run_not_found", `run not found: ${runId}`);
    return found;
  }

  /** As it stands now: what this process works on (L3), and what another one has left when it died. */
  async #current({ event, runs }: StoredEvent): Promise<StoredEvent> {
    return { event, runs: await Promise.all(runs.map((stored) => this.#currentRun(stored))) };
  }

  async #currentRun(stored: LocalRun): Promise<LocalRun> {
    const live = this.#live.get(stored.run.id);
    if (live !== undefined) return live.stored;
    const run = await recover(stored);
    if (run === undefined) return stored;
    const recovered = { ...stored, run };
    await this.#options.store.save(recovered);
    return recovered;
  }
}

/** The event as it would be read from a request. */
function readEvent(input: unknown): FlowEvent {
  const text = JSON.stringify(input) as string | undefined;
  if (text !== undefined && Buffer.byteLength(text) > EVENT_MAX_BYTES)
    throw new PayloadTooLargeError("the event", EVENT_MAX_BYTES);
  const checked = checkFlowEvent(text === undefined ? undefined : JSON.parse(text));
  if (checked.ok) return normalizeEvent(checked.value, iso(Date.now()));
  const [first] = checked.faults;
  throw new ValidationError(
    "invalid",
    first === undefined ? "the event is not valid" : `${first.path || "the event"} ${first.message}`,
    checked.faults,
  );
}

async function localEvent(
  event: FlowEvent,
  { lineage, createdAt = Date.now() }: Pick<Dispatch, "lineage" | "createdAt">,
  matched: number,
): Promise<LocalEvent> {
  return { v: 1, key: await eventKey(event.id), event, createdAt, matched, lineage };
}

function localRun(
  { key, event, lineage }: LocalEvent,
  { loaded, step }: LocalMatch,
  n: number,
  origin: RunRecord["origin"],
  replayOf?: string,
): LocalRun {
  const { flow } = loaded;
  const depth = lineage.depth;
  const run = newRun({ eventKey: key, n, event, flow, step, origin, replayOf, depth, now: Date.now() });
  return { v: 1, key, owner: thisProcess(), run };
}

function isRunOf({ flow, step }: RunRecord, match: LocalMatch): boolean {
  return flow.name === match.loaded.flow.name && step.name === match.step.name;
}

type Outcome = Omit<LocalAnswer, "misses" | "faults" | "work">;

function accepted({ event }: LocalEvent, started: RunInProgress[]): Outcome {
  const runIds = started.map(({ run }) => run.id);
  return { status: "accepted", eventId: event.id, runIds, matched: runIds.length, conflict: false };
}

function duplicate(
  { event: { event: first, matched }, runs }: StoredEvent,
  event: FlowEvent,
  misses: StepMiss[],
  faults: string[],
): LocalAnswer {
  return {
    status: "duplicate",
    eventId: event.id,
    runIds: runs.slice(0, matched).map(({ run }) => run.id),
    matched: 0,
    conflict: eventIdentity(first) !== eventIdentity(event),
    misses,
    faults,
    work: Promise.resolve(),
  };
}

function unknownEvent(id: string): NotFoundError {
  return new NotFoundError("event_not_found", `event not found: ${id}`);
}

async function before(deadline: number, over: Promise<unknown>): Promise<void> {
  const late = new AbortController();
  const waits = Number.isFinite(deadline)
    ? [sleep(Math.max(0, deadline - Date.now()), undefined, { signal: late.signal }).catch(() => undefined)]
    : [];
  try {
    await Promise.race([over, ...waits]);
  } finally {
    late.abort();
  }
}
