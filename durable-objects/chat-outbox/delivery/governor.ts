/**
 * When a request may go: what the platform has published, what its answers tell, and what was learned by running into it.
 * It knows lanes and limits, and nothing of messages.
 *
 * 1. One request at a time in a lane, few over all.
 * 2. A wait that an answer asked for survives a restart: it is a row (`barrier`). The short ones of a bucket are not worth a
 *    row each; after a restart a lane rests as long as its last message is recent (`rest`).
 * 3. Long before the platform bans an address for invalid requests, nothing is sent at all.
 */
import type { DeliveryClass } from "../../../contract/chat/message.ts";
import type { HaltCode } from "../../../contract/chat/outbox-codes.ts";
import type { ChatOutboxStatus } from "../calls.ts";
import { backoffMs, blockMs, learnedPaceMs, Throttle, youngTokenMs } from "./pace.ts";
import type { Lane, Outcome, Pace, PlatformAnswer } from "./platform.ts";
import type { DeliveryRows } from "./rows.ts";

/** Discord bans at 10,000 in ten minutes; ours is far below. */
export const INVALID_MAX = 1_000;
export const INVALID_WINDOW_MS = 600_000;
/** How often a target that takes nothing, or a token that is refused, is tried again. */
export const PARK_RETRY_MS = 15 * 60_000;
/** A target that does not exist is forgotten after a day. */
const GONE_KEPT_MS = 86_400_000;
/** A learned pace is trusted for so long. */
const LEARNED_KEPT_MS = 3_600_000;
/** Waits from here on are stored. */
const STORED_WAIT_MS = 5_000;
/** Clocks are read on both ends of a connection. */
const BUCKET_MARGIN_MS = 50;
const STARTS_KEPT = 64;
const LANES_KEPT = 2_000;
const MS_PER_SECOND = 1000;
const BOT_LIMITED = "429";

interface LaneState {
  until: number;
  everyMs: number;
  learnedAt: number;
  lastAt: number;
  failures: number;
  /** When its last successful requests were begun. */
  starts: number[];
  startedAt: number;
  busy: boolean;
}

interface Bucket {
  remaining: number;
  resetAt: number;
  inFlight: number;
}

interface StoredLane {
  until: number;
  everyMs: number;
  learnedAt: number;
}

/** All of the bot waits. */
interface StoredHalt {
  code: HaltCode;
  message: string;
  until: number;
  /** Of the token that was refused: another one is tried at once. */
  token?: string;
  streak?: number;
}

export interface Parked {
  code: string;
  message: string;
  at: number;
  until: number;
  /** It does not exist: what is meant for it is dropped. */
  gone: boolean;
}

export class Governor {
  readonly #pace: Pace;
  readonly #rows: DeliveryRows;
  readonly #token: string;
  readonly #throttle: Throttle;
  readonly #lanes = new Map<string, LaneState>();
  readonly #buckets = new Map<string, Bucket>();
  readonly #bucketOfRoute = new Map<string, string>();
  readonly #parked = new Map<string, Parked>();
  #halt: StoredHalt | undefined;
  #invalid = { since: 0, count: 0 };
  #limited = 0;
  #inFlight = 0;

  /** @param token a fingerprint of the bot's token */
  constructor(pace: Pace, rows: DeliveryRows, token: string, now: number) {
    this.#pace = pace;
    this.#rows = rows;
    this.#token = token;
    this.#throttle = new Throttle(pace.perSecond, pace.burst, now);
    for (const [scope, value] of rows.barriers()) this.#load(scope, value);
    if (this.#halt?.token !== undefined && this.#halt.token !== token) this.#setHalt(undefined);
  }

  #load(scope: string, value: unknown): void {
    const [kind, name = ""] = split(scope);
    if (kind === "halt") this.#halt = value as StoredHalt;
    else if (kind === "invalid") this.#invalid = value as { since: number; count: number };
    else if (kind === "limited") this.#limited = value as number;
    else if (kind === "park") this.#parked.set(name, value as Parked);
    else if (kind === "lane") Object.assign(this.#lane(name), value as StoredLane);
  }

  /** After a restart: a lane whose last message is recent may have used up its limit. */
  rest(lane: Lane, touchedAt: number): void {
    const state = this.#lane(lane.name);
    state.until = Math.max(state.until, touchedAt + this.#pace.restMs(lane.major));
  }

  get freeSlots(): number {
    return this.#pace.inFlight - this.#inFlight;
  }

  busy(lane: Lane): boolean {
    return this.#lanes.get(lane.name)?.busy ?? false;
  }

  /** When anything at all may go in this lane, epoch ms. */
  botReadyAt(now: number, { ownToken }: Lane): number {
    if (ownToken !== true) return Math.max(this.#halt?.until ?? 0, this.#throttle.readyAt(now));
    return this.#halt === undefined || isOfBot(this.#halt) ? 0 : this.#halt.until;
  }

  /** When a request of this lane may go, epoch ms; the bot's own limits not counted. */
  readyAt(lane: Lane, deliveryClass: DeliveryClass, now: number): number {
    const state = this.#lanes.get(lane.name);
    const parked = this.#parked.get(lane.major);
    const bucket = this.#bucket(lane);
    const everyMs = this.#pace.laneEveryMs(lane.major, deliveryClass);
    return Math.max(
      state?.until ?? 0,
      state === undefined ? 0 : state.lastAt + Math.max(everyMs, this.#learnedMs(state, now)),
      bucket !== undefined && bucket.remaining <= 0 ? bucket.resetAt : 0,
      parked?.until ?? 0,
    );
  }

  parked(major: string): Parked | undefined {
    return this.#parked.get(major);
  }

  begin(lane: Lane, now: number): void {
    const state = this.#lane(lane.name);
    state.busy = true;
    state.startedAt = now;
    this.#inFlight += 1;
    if (lane.ownToken !== true) this.#throttle.take(now);
    const bucket = this.#bucket(lane);
    if (bucket === undefined) return;
    if (bucket.resetAt <= now) bucket.remaining = Math.max(bucket.remaining, 1);
    bucket.remaining -= 1;
    bucket.inFlight += 1;
  }

  /** The request is over. `answer` is undefined when none came. */
  end(lane: Lane, answer: PlatformAnswer | undefined, outcome: Outcome, now: number): void {
    const state = this.#lane(lane.name);
    state.busy = false;
    state.lastAt = now;
    this.#inFlight -= 1;
    const before = this.#bucket(lane);
    if (before !== undefined) before.inFlight = Math.max(0, before.inFlight - 1);
    if (answer !== undefined) this.#learnBucket(lane, answer, now);
    this.#countInvalid(answer, outcome, now);
    if (outcome.kind === "limited") this.#limitedBy(lane, state, outcome, now);
    else if (outcome.kind === "blocked") this.#blocked(now);
    else if (outcome.kind === "halt")
      this.#setHalt({ ...outcome, until: now + PARK_RETRY_MS, token: this.#token });
    else if (outcome.kind === "retry" || (outcome.kind === "token_dead" && outcome.young)) {
      state.failures += 1;
      state.until =
        now + (outcome.kind === "retry" ? backoffMs(state.failures) : youngTokenMs(state.failures));
    } else this.#wentWell(lane, state, outcome, now);
    if (this.#lanes.size > LANES_KEPT) this.#forgetLanes(now);
  }

  /** The lane waits, for a reason that is not the platform's. */
  wait(lane: Lane, until: number): void {
    const state = this.#lane(lane.name);
    state.until = Math.max(state.until, until);
  }

  /** The target takes nothing for a while, or (`gone`) never again. */
  park(major: string, why: { code: string; message: string }, gone: boolean, now: number): void {
    const { code, message } = why;
    const until = now + (gone ? GONE_KEPT_MS : PARK_RETRY_MS);
    const at = this.#parked.get(major)?.at ?? now;
    const parked = { code, message, at, until, gone };
    this.#parked.set(major, parked);
    this.#rows.putBarrier(`park:${major}`, parked);
  }

  /** Forgets what is over. */
  prune(now: number): void {
    for (const [major, { gone, until }] of this.#parked) if (gone && until <= now) this.#unpark(major);
    for (const scope of this.#rows.barriers().keys()) {
      const [kind, name = ""] = split(scope);
      if (kind !== "lane") continue;
      const state = this.#lanes.get(name);
      if (state === undefined || (state.until <= now && this.#learnedMs(state, now) === 0))
        this.#rows.deleteBarrier(scope);
    }
  }

  status(now: number): Pick<ChatOutboxStatus, "limited" | "halted"> & { parked: Map<string, Parked> } {
    const halt = this.#halt;
    return {
      limited: this.#limited,
      parked: this.#parked,
      ...(halt === undefined || (halt.token === undefined && halt.until <= now)
        ? {}
        : {
            halted: {
              code: halt.code,
              message: halt.message,
              // A refused token is tried again now and then, but it is somebody who has to mend it.
              ...(halt.token === undefined ? { until: halt.until } : {}),
            },
          }),
    };
  }

  #wentWell(lane: Lane, state: LaneState, outcome: Outcome, now: number): void {
    state.failures = 0;
    if (outcome.kind !== "done") return;
    state.starts.push(state.startedAt);
    if (state.starts.length > STARTS_KEPT) state.starts.shift();
    if (this.#halt !== undefined && this.#halt.until <= now) this.#setHalt(undefined);
    if (this.#parked.has(lane.major)) this.#unpark(lane.major);
  }

  #limitedBy(
    lane: Lane,
    state: LaneState,
    { ms, scope, hidden }: Extract<Outcome, { kind: "limited" }>,
    now: number,
  ): void {
    this.#limited += 1;
    this.#rows.putBarrier("limited", this.#limited);
    const until = now + ms + BUCKET_MARGIN_MS;
    if (scope === "bot")
      this.#setHalt({ code: BOT_LIMITED, message: "the platform asks the whole bot to wait", until });
    if (hidden) {
      state.everyMs = learnedPaceMs(state.starts, now, ms, this.#learnedMs(state, now));
      state.learnedAt = now;
      state.starts = [];
    }
    if (scope === "bot" && !hidden) return;
    state.until = Math.max(state.until, until);
    this.#storeLane(lane, state);
  }

  #blocked(now: number): void {
    const streak = (this.#halt?.code === "ip_blocked" ? (this.#halt.streak ?? 0) : 0) + 1;
    this.#setHalt({
      code: "ip_blocked",
      message: "the address that this edge sends from is blocked; others may have caused it",
      until: now + blockMs(streak),
      streak,
    });
  }

  #setHalt(halt: StoredHalt | undefined): void {
    this.#halt = halt;
    if (halt === undefined) this.#rows.deleteBarrier("halt");
    else this.#rows.putBarrier("halt", halt);
  }

  #unpark(major: string): void {
    this.#parked.delete(major);
    this.#rows.deleteBarrier(`park:${major}`);
  }

  #storeLane(lane: Lane, { until, everyMs, learnedAt }: LaneState): void {
    this.#rows.putBarrier(`lane:${lane.name}`, { until, everyMs, learnedAt } satisfies StoredLane);
  }

  #countInvalid(answer: PlatformAnswer | undefined, outcome: Outcome, now: number): void {
    const shared = outcome.kind === "limited" && outcome.shared;
    if (answer === undefined || shared || ![401, 403, 429].includes(answer.status)) return;
    const fresh = now - this.#invalid.since >= INVALID_WINDOW_MS;
    this.#invalid = fresh ? { since: now, count: 1 } : { ...this.#invalid, count: this.#invalid.count + 1 };
    this.#rows.putBarrier("invalid", this.#invalid);
    if (this.#invalid.count < INVALID_MAX) return;
    this.#setHalt({
      code: "too_many_invalid",
      message: `${INVALID_MAX} requests were refused within ten minutes; more would get this address banned`,
      until: this.#invalid.since + INVALID_WINDOW_MS,
    });
  }

  #learnBucket(lane: Lane, { headers }: PlatformAnswer, now: number): void {
    const hash = headers.get("x-ratelimit-bucket");
    const remaining = Number(headers.get("x-ratelimit-remaining") ?? Number.NaN);
    const resetAfter = Number(headers.get("x-ratelimit-reset-after") ?? Number.NaN);
    if (hash === null || Number.isNaN(remaining) || Number.isNaN(resetAfter)) return;
    this.#bucketOfRoute.set(lane.route, hash);
    const key = `${hash} ${lane.major}`;
    const inFlight = this.#buckets.get(key)?.inFlight ?? 0;
    const resetAt = now + resetAfter * MS_PER_SECOND + BUCKET_MARGIN_MS;
    this.#buckets.set(key, { remaining: remaining - inFlight, resetAt, inFlight });
    if (remaining > 0 || resetAt - now < STORED_WAIT_MS + BUCKET_MARGIN_MS) return;
    const state = this.#lane(lane.name);
    state.until = Math.max(state.until, resetAt);
    this.#storeLane(lane, state);
  }

  #bucket(lane: Lane): Bucket | undefined {
    const hash = this.#bucketOfRoute.get(lane.route);
    return hash === undefined ? undefined : this.#buckets.get(`${hash} ${lane.major}`);
  }

  #learnedMs(state: LaneState, now: number): number {
    return now - state.learnedAt < LEARNED_KEPT_MS ? state.everyMs : 0;
  }

  #lane(name: string): LaneState {
    const known = this.#lanes.get(name);
    if (known !== undefined) return known;
    const fresh = {
      until: 0,
      everyMs: 0,
      learnedAt: 0,
      lastAt: 0,
      failures: 0,
      starts: [],
      startedAt: 0,
      busy: false,
    };
    this.#lanes.set(name, fresh);
    return fresh;
  }

  /** Lanes that know nothing any more. */
  #forgetLanes(now: number): void {
    for (const [name, state] of this.#lanes)
      if (!state.busy && state.until <= now && now - state.lastAt > INVALID_WINDOW_MS && state.failures === 0)
        this.#lanes.delete(name);
    for (const [key, { inFlight, resetAt }] of this.#buckets)
      if (inFlight === 0 && resetAt <= now) this.#buckets.delete(key);
  }
}

/** It concerns what is sent as the bot, not the address that all is sent from. */
function isOfBot({ code, token }: StoredHalt): boolean {
  return token !== undefined || code === BOT_LIMITED;
}

function split(scope: string): [string, string?] {
  const at = scope.indexOf(":");
  return at < 0 ? [scope] : [scope.slice(0, at), scope.slice(at + 1)];
}
