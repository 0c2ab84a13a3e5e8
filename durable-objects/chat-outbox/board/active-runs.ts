/**
 * The runs that are not over, as memory holds them: their rows, how fresh their cards are, and whether somebody is just
 * looking. What is due is asked here; the decisions stand in rules.ts.
 */
import type { ChatPlatform } from "../../../contract/chat/place.ts";
import type { ChannelFollows } from "../calls.ts";
import type { Showing } from "./rows.ts";
import { dueIn, isMoving, isReadAlong, nextLook, paceOf, type Freshness } from "./rules.ts";
import type { Shown } from "./storage.ts";

export interface Active extends Shown {
  fresh: Freshness;
  /** A look is under way; `again`: the run has changed since it began. */
  look?: { again: boolean };
}

export class ActiveRuns {
  readonly #runs = new Map<string, Active>();
  readonly #platform: ChatPlatform;
  readonly #viewOf: (place: string) => ChannelFollows;

  /** @param viewOf settings of the channel that a place belongs to */
  constructor(platform: ChatPlatform, viewOf: (place: string) => ChannelFollows) {
    this.#platform = platform;
    this.#viewOf = viewOf;
  }

  get size(): number {
    return this.#runs.size;
  }

  get(runId: string): Active | undefined {
    return this.#runs.get(runId);
  }

  put(active: Active): void {
    this.#runs.set(active.run.runId, active);
  }

  delete(runId: string): void {
    this.#runs.delete(runId);
  }

  /** How many are being looked at. */
  get underWay(): number {
    return this.all().filter(({ look }) => look !== undefined).length;
  }

  all(): Active[] {
    return [...this.#runs.values()];
  }

  /** Those that are shown in a channel or its threads. */
  inChannel(channel: string): Active[] {
    return [...this.#runs.values()].filter(({ showings }) =>
      showings.some(({ place }) => channelKey(place) === channel),
    );
  }

  /** When there is something to look at next. */
  due(now: number): number | undefined {
    const crowds = this.#crowds(now);
    const dues = [...this.#runs.values()].flatMap((active) => this.#dueOf(active, crowds, now) ?? []);
    return dues.length === 0 ? undefined : dues.reduce((first, due) => Math.min(first, due));
  }

  /** When this one is looked at next; undefined: not by time, or it is being looked at. */
  dueOf(active: Active, now: number): number | undefined {
    return this.#dueOf(active, this.#crowds(now), now);
  }

  /** Those that are due and not being looked at, the longest due first. */
  toLookAt(now: number, most: number): Active[] {
    const crowds = this.#crowds(now);
    return [...this.#runs.values()]
      .map((active) => ({ active, due: this.#dueOf(active, crowds, now) ?? Infinity }))
      .filter(({ due }) => due <= now)
      .sort((a, b) => a.due - b.due)
      .slice(0, Math.max(0, most))
      .map(({ active }) => active);
  }

  /** Places whose card is due whether or not the run has changed. */
  duePlaces({ showings, fresh }: Active, now: number): Set<string> {
    const crowds = this.#crowds(now);
    return new Set(
      showings
        .filter((showing) => dueIn(showing, this.#paceOf(showing, crowds, now), fresh) <= now)
        .map(({ place }) => place),
    );
  }

  #dueOf({ run, showings, fresh, look }: Active, crowds: Crowds, now: number): number | undefined {
    if (look !== undefined) return undefined;
    const paced = showings.map((showing) => ({
      showing,
      pace: this.#paceOf(showing, crowds, now),
      readAlong: isReadAlong(showing, run.flow, now),
    }));
    return nextLook(run, paced, fresh);
  }

  #paceOf(showing: Showing, crowds: Crowds, now: number): number {
    const crowd = crowds.get(channelKey(showing.place)) ?? 1;
    return paceOf(showing, this.#viewOf(showing.place), crowd, now);
  }

  /** Cards that move, by channel: only on Telegram they share a limit. */
  #crowds(now: number): Crowds {
    const crowds = new Map<string, number>();
    if (this.#platform !== "telegram") return crowds;
    for (const { run, showings } of this.#runs.values()) {
      if (run.phase !== "running") continue;
      for (const showing of showings) {
        const channel = channelKey(showing.place);
        if (isMoving(showing, this.#viewOf(showing.place), now))
          crowds.set(channel, (crowds.get(channel) ?? 0) + 1);
      }
    }
    return crowds;
  }
}

type Crowds = ReadonlyMap<string, number>;

/** Key of the channel that the place of a key belongs to. */
export function channelKey(place: string): string {
  return place.split(":", 2).join(":");
}
