/**
 * Which runs are shown where, and when a run is looked at next. Functions of rows and a clock.
 *
 *   changed, or behind    at once, but not twice within a second
 *   waits for a runner    after 2 s, doubling to 10 min: why it waits changes without its being told
 *   running, read along   every 2 s: a run that somebody follows, and a relayed session in the chat it was pointed at, so
 *                         that words of the agent arrive within 5 s (a look also asks the runner for what it holds back)
 *   running, followed     its card every 3 s, after 10 min 10 s, after 50 min 30 s (older messages take few edits)
 *   running otherwise     by the channel's output: minimal never, balanced 30 s, verbose 5 s
 *   running, box away     never: its event object says when the box is back
 *   over                  never: an hour later its threads are closed, after days it is forgotten
 *
 * All cards of a Telegram group share that group's limit, so the more of them move, the slower each.
 */
import {
  channelOf,
  isSomebody,
  parsePlaceKey,
  placeKey,
  type ChatPlatform,
  type ChatPlace,
} from "../../../contract/chat/place.ts";
import { RELAY_FLOW } from "../../../contract/relay.ts";
import { NO_SETTINGS } from "../../channel-settings/settings.ts";
import type { ChannelFollows, RunNotice } from "../calls.ts";
import type { Showing, ShownRun } from "./rows.ts";

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** Between two looks at a run, whatever happens to it. */
export const LOOK_GAP_MS = SECOND_MS;
/** Short: a run that has just been sent is still on its way, and only then known to wait. */
export const WAITING_LOOK_FIRST_MS = 2 * SECOND_MS;
export const WAITING_LOOK_MAX_MS = 10 * MINUTE_MS;
/** Between two looks at a run whose words somebody reads along: they are here with the look after the next. */
export const READ_ALONG_MS = 2 * SECOND_MS;
/** Pace of a followed card, by how long it has been followed. */
const OLD_MESSAGE_MS = 50 * MINUTE_MS;
const FOLLOW_PACE = [
  { before: 10 * MINUTE_MS, every: 3 * SECOND_MS },
  { before: OLD_MESSAGE_MS, every: 10 * SECOND_MS },
  { before: Infinity, every: 30 * SECOND_MS },
] as const;
/** Pace of a running card that nobody follows. */
const OUTPUT_PACE_MS = { minimal: Infinity, balanced: 30 * SECOND_MS, verbose: 5 * SECOND_MS } as const;
/** Between two edits in a Telegram group, over all of its cards. */
const GROUP_EDIT_MS = 5 * SECOND_MS;
/** Longest that somebody follows with one press. */
export const FOLLOW_MAX_MS = 4 * HOUR_MS;
/** A look that failed is tried again after this long, doubling. */
const RETRY_FIRST_MS = 5 * SECOND_MS;
const RETRY_MAX_MS = 5 * MINUTE_MS;
/** How long after its end a run's threads are closed. */
export const CLOSE_AFTER_MS = HOUR_MS;
/** How long after its end a run is known here; shorter where its event is kept for less. */
export const KEPT_AFTER_MS = 14 * DAY_MS;

/** Runs that a channel's follows show at once; of a storm of events more are not shown, which is said. */
export const FOLLOWED_PER_CHANNEL_MAX = 200;

/** How a place is shown whose settings the outbox has never received: as the settings themselves begin. */
export function defaultView(place: ChatPlace): ChannelFollows {
  const { flows, types, threads, output, safe } = NO_SETTINGS;
  return { place: channelOf(place), flows, types, threads, output, safe };
}

export type NewShowing = Pick<Showing, "place" | "via" | "thread" | "user">;

/** The places that show a run which has just been heard of. */
export function placesOf(
  notice: RunNotice,
  platform: ChatPlatform,
  follows: ReadonlyMap<string, ChannelFollows>,
): NewShowing[] {
  const places = new Map<string, NewShowing>();
  for (const [channel, followed] of follows)
    if (wants(followed.flows, notice.flow) || wants(followed.types, notice.eventType))
      places.set(channel, { place: channel, via: "follows", thread: hasThreads(followed.place, followed) });
  const { origin } = notice;
  if (origin !== undefined && origin.place.platform === platform) {
    const asked = placeIn(origin.place, follows, origin.ownThread);
    places.set(asked.place, {
      ...asked,
      via: "origin",
      ...(isSomebody(origin.user) ? { user: origin.user } : {}),
    });
  }
  return [...places.values()];
}

/** A run in a place: in a channel with a thread of its own if it or the channel wants that, in a thread as it is. */
export function placeIn(
  place: ChatPlace,
  follows: ReadonlyMap<string, ChannelFollows>,
  ownThread = false,
): Pick<NewShowing, "place" | "thread"> {
  const usual = follows.get(placeKey(channelOf(place))) ?? defaultView(place);
  const view = ownThread ? { ...usual, threads: true } : usual;
  return { place: placeKey(place), thread: place.thread === undefined && hasThreads(place, view) };
}

function wants(list: readonly string[], name: string): boolean {
  return list.includes("*") || list.includes(name);
}

/** A private chat of Telegram has no topics. */
function hasThreads(place: ChatPlace, { threads }: ChannelFollows): boolean {
  return threads && (place.platform === "discord" || isGroup(place));
}

function isGroup({ platform, channel }: ChatPlace): boolean {
  return platform === "telegram" && channel.startsWith("-");
}

/** What is known of how fresh a run's cards are. It does not outlive the object: after a crash all are drawn again. */
export interface Freshness {
  /** Last look, epoch ms; 0: none. */
  lookedAt: number;
  /** Looks that have failed since the last one that did not. */
  failures: number;
  /** Last time that a card was drawn, by place. */
  drawnAt: ReadonlyMap<string, number>;
  /** Last look that found it changed, epoch ms; 0: none. */
  changedAt: number;
}

export const NOT_FRESH: Freshness = { lookedAt: 0, failures: 0, drawnAt: new Map(), changedAt: 0 };

/** How often the card of a running run is drawn in a place, ms. `crowd`: cards that move in its channel. */
export function paceOf(showing: Showing, view: ChannelFollows, crowd: number, now: number): number {
  const own = isFollowed(showing, now) ? followPace(showing, now) : OUTPUT_PACE_MS[view.output];
  const place = parsePlaceKey(showing.place);
  return place !== undefined && isGroup(place) ? Math.max(own, GROUP_EDIT_MS * Math.max(1, crowd)) : own;
}

/** Whether a running card changes often. */
export function isMoving(showing: Showing, view: ChannelFollows, now: number): boolean {
  return isFollowed(showing, now) || OUTPUT_PACE_MS[view.output] < OUTPUT_PACE_MS.balanced;
}

function isFollowed({ follow }: Showing, now: number): boolean {
  return follow !== undefined && follow.until > now;
}

/** Whether the words of its agent are to arrive as they are written. */
export function isReadAlong(showing: Showing, flow: string, now: number): boolean {
  return isFollowed(showing, now) || (flow === RELAY_FLOW && showing.via === "origin");
}

/** An old message takes few edits, whoever follows. */
function followPace({ follow, shownAt }: Showing, now: number): number {
  const age = now - shownAt >= OLD_MESSAGE_MS ? OLD_MESSAGE_MS : now - (follow?.from ?? now);
  return FOLLOW_PACE.find(({ before }) => age < before)?.every ?? Infinity;
}

/** When a run is looked at next, epoch ms; undefined: only when it is said to have changed. */
export function nextLook(
  run: ShownRun,
  showings: { showing: Showing; pace: number; readAlong?: boolean }[],
  fresh: Freshness,
): number | undefined {
  const earliest = Math.max(
    fresh.lookedAt === 0 ? 0 : fresh.lookedAt + LOOK_GAP_MS,
    fresh.failures === 0
      ? 0
      : fresh.lookedAt + Math.min(RETRY_FIRST_MS * 2 ** (fresh.failures - 1), RETRY_MAX_MS),
  );
  if (run.changed || run.behind === true || run.phase === "unseen") return earliest;
  if (run.phase === "over" || run.away === true) return undefined;
  if (run.phase === "queued")
    return run.waiting === undefined
      ? earliest
      : Math.max(earliest, run.waiting.at + waitingPace(run.waiting.looks));
  const read = showings.some(({ readAlong }) => readAlong === true)
    ? fresh.lookedAt + READ_ALONG_MS
    : Infinity;
  const due = Math.min(read, ...showings.map(({ showing, pace }) => dueIn(showing, pace, fresh)));
  return Number.isFinite(due) ? Math.max(earliest, due) : undefined;
}

/** When the card of a running run is drawn next in a place, whether or not the run changes. */
export function dueIn({ place }: Showing, pace: number, { drawnAt }: Freshness): number {
  const drawn = drawnAt.get(place);
  return pace === Infinity ? Infinity : drawn === undefined ? 0 : drawn + pace;
}

function waitingPace(looks: number): number {
  return Math.min(WAITING_LOOK_FIRST_MS * 2 ** Math.max(0, looks - 1), WAITING_LOOK_MAX_MS);
}

/** Nothing of it will be drawn unless somebody says something new of it. */
export function isAtRest({ phase, changed, behind }: ShownRun): boolean {
  return phase === "over" && !changed && behind !== true;
}

/** When a run that is over is tidied, epoch ms: first its threads, a while after their newest; then itself. */
export function tidyAt(
  { endedAt, seenAt, closed }: ShownRun,
  showings: readonly Showing[],
  retentionMs: number,
): number {
  const newest = Math.max(endedAt ?? seenAt, ...showings.map(({ shownAt }) => shownAt));
  return newest + (closed === true ? Math.min(KEPT_AFTER_MS, retentionMs) : CLOSE_AFTER_MS);
}
