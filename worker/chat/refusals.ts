/**
 * Refusals at the doors, before anybody is admitted: what bears no signature or secret, and what strangers ask for. They are
 * in the audit, and whoever sends very many of them costs little: each isolate tells the object of the first of a kind, and
 * then once a minute at most; the object counts them in one row (ChatAccess). So a count says "at least".
 */
import type { Refusal } from "../../durable-objects/chat-access/calls.ts";
import { CHAT_ACCESS } from "../../durable-objects/chat-access/naming.ts";
import type { Env } from "../env.ts";
import { placeOf, type Asker } from "./asker.ts";

const TOLD_EVERY_MS = 60_000;
/** Kinds, by sender, that an isolate remembers. */
const KEPT_MAX = 200;

/** When to tell of what comes again and again. */
export class Merger {
  readonly #kinds = new Map<string, { toldAt: number; untold: number }>();

  /** How many to tell of now; 0: not now. */
  note(kind: string, now: number): number {
    const known = this.#kinds.get(kind);
    if (known !== undefined && now - known.toldAt < TOLD_EVERY_MS) {
      known.untold += 1;
      return 0;
    }
    this.#kinds.delete(kind);
    const [oldest] = this.#kinds.keys();
    if (oldest !== undefined && this.#kinds.size >= KEPT_MAX) this.#kinds.delete(oldest);
    this.#kinds.set(kind, { toldAt: now, untold: 0 });
    return (known?.untold ?? 0) + 1;
  }
}

const merger = new Merger();

/** Never rejects: what is refused stays refused, whether or not it could be written down. */
export async function noteRefusal(env: Env, refusal: Omit<Refusal, "times">): Promise<void> {
  const times = merger.note(JSON.stringify(refusal), Date.now());
  if (times === 0) return;
  try {
    await env.CHAT_ACCESS.getByName(CHAT_ACCESS).refused({ ...refusal, times });
  } catch (error) {
    console.warn(
      JSON.stringify({ message: "a refusal is not in the audit", act: refusal.act, error: String(error) }),
    );
  }
}

/** The same of somebody who can be named. */
export async function noteStranger(env: Env, asker: Asker, act: string, reason: string): Promise<void> {
  const { place, tenant, user } = asker;
  await noteRefusal(env, {
    platform: place.platform,
    act,
    reason,
    from: { tenant, place: placeOf(asker), user },
  });
}
