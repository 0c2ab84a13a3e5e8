/**
 * Creations that may have come through without our knowing: nothing came back, or the object died before it could write it down. They
 * are looked for before they are tried again.
 *
 * - Discord's nonce answers for some minutes with the message that is there; after that, it is looked for by its text
 *   among the newest of its channel. A forum's post has no nonce: its newest one is tried out.
 * - Telegram has neither, and shows a bot no history. But ids of a chat grow: an edit of what would be the message's id,
 *   with the text that it would have, changes nothing if it is there, and says so.
 *
 * Where nothing is found it is sent, so the worst that is left is a message twice, never none.
 */
import type { ChatPlace } from "../../../contract/chat/place.ts";
import { channelIn } from "./jobs.ts";
import type { Job, Platform } from "./platform.ts";
import type { MessageRow } from "./records.ts";
import type { DeliveryRows } from "./rows.ts";
import type { Whereabouts } from "./whereabouts.ts";

/** So long a nonce is trusted; Discord says "a few minutes". */
export const NONCE_TRUST_MS = 90_000;
/** Ids behind our newest message in a chat that are looked at. */
const PROBES_MAX = 5;

type Looked = { probes: number } | { candidate: string } | "nothing";

export class Doubts {
  readonly #rows: DeliveryRows;
  readonly #platform: Platform;
  readonly #whereabouts: Whereabouts;
  readonly #bornAt: number;
  /** Since when a row's creation is in doubt, of this life of the object. */
  readonly #since = new Map<string, number>();
  readonly #looked = new Map<string, Looked>();
  /** Channels in which this life has made something: what was under way in the last one is settled there. */
  readonly #settled = new Set<string>();

  constructor(rows: DeliveryRows, platform: Platform, whereabouts: Whereabouts, bornAt: number) {
    this.#rows = rows;
    this.#platform = platform;
    this.#whereabouts = whereabouts;
    this.#bornAt = bornAt;
  }

  next(row: MessageRow, place: ChatPlace, now: number): Job | undefined {
    const { wanted: message } = row;
    const looked = this.#looked.get(row.key);
    if (message === undefined || looked === "nothing") return undefined;
    const channel = channelIn(place);
    if (looked !== undefined && "candidate" in looked)
      return { kind: "probe", at: { channel: looked.candidate, id: looked.candidate }, message };
    if (!this.#platform.nonces) {
      const newest = row.triedAt === undefined ? undefined : this.#rows.newestIn(channel);
      if (newest === undefined) return undefined;
      const id = String(newest + 1 + (looked?.probes ?? 0));
      return { kind: "probe", at: { channel, id }, message };
    }
    const forum = place.thread === undefined && this.#whereabouts.forum(place.channel);
    const since = forum ? row.triedAt : this.#doubtedSince(row, channel);
    if (since === undefined || (!forum && now - since < NONCE_TRUST_MS)) return undefined;
    return {
      kind: "find",
      place,
      message,
      since,
      known: forum ? this.#rows.forumPosts() : this.#rows.idsIn(channel),
      forum,
    };
  }

  /** Nothing came back: it may be there. */
  doubt(key: string, now: number): void {
    if (!this.#since.has(key)) this.#since.set(key, now);
    this.#looked.delete(key);
  }

  candidate(key: string, id: string): void {
    this.#looked.set(key, { candidate: id });
  }

  /** It is not where it was looked for. True: there is nowhere else to look. */
  notFound(key: string): boolean {
    const looked = this.#looked.get(key);
    const probes = looked !== undefined && looked !== "nothing" && "probes" in looked ? looked.probes + 1 : 1;
    if (!this.#platform.nonces && probes < PROBES_MAX) {
      this.#looked.set(key, { probes });
      return false;
    }
    this.#looked.set(key, "nothing");
    this.#since.delete(key);
    return true;
  }

  /** It is out, or certainly not. */
  settle(key: string, channel: string): void {
    this.#since.delete(key);
    this.#looked.delete(key);
    this.#settled.add(channel);
  }

  /** Of what an earlier life left, only the first in each channel can have been under way. */
  #doubtedSince(row: MessageRow, channel: string): number | undefined {
    const since = this.#since.get(row.key);
    if (since !== undefined || this.#settled.has(channel)) return since;
    return row.createdAt < this.#bornAt ? row.createdAt : undefined;
  }
}
