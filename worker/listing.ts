/**
 * Newest-first lists over the days' ledgers. A page walks the days backwards from its cursor until it is full or the
 * retention ends; a cursor is the position of the last row, so that rows which come in meanwhile shift nothing.
 */
import { BadRequestError } from "../contract/errors.ts";
import { LIST_DEFAULT_ITEMS, LIST_MAX_ITEMS } from "../contract/limits.ts";
import { dayOf, ledgersOfDay, previousDay, retentionMs } from "../durable-objects/day-ledger/naming.ts";
import type { Remote } from "../durable-objects/kit/remote.ts";
import type { DayLedger } from "../durable-objects/day-ledger/object.ts";
import type { ListPosition, ListRow } from "../durable-objects/day-ledger/storage.ts";
import type { Env } from "./env.ts";

/** Days asked at once when a page goes on into the past: few round trips for a quiet month, few reads for a busy one. */
const DAYS_AT_ONCE = 8;
/** Rows that one round of questions may bring into this isolate's memory. */
export const ROWS_AT_ONCE_MAX = 4_096;
const CURSOR_ID_MAX_CHARS = 64;

export interface Page<T> {
  items: T[];
  nextCursor: string | undefined;
}

/** As the ancestor: 50 when absent, 0 or no number; truncated and clamped to 1–500. */
export function listLimit(text: string | undefined): number {
  const value = Math.trunc(Number(text));
  if (text === undefined || text === "" || Number.isNaN(value) || value === 0) return LIST_DEFAULT_ITEMS;
  return Math.min(Math.max(value, 1), LIST_MAX_ITEMS);
}

/** The moment that `?since=` names, epoch ms; undefined when it is absent. Throws for what is no date. */
export function sinceMs(text: string | undefined): number | undefined {
  if (text === undefined || text === "") return undefined;
  const at = Date.parse(text);
  // Date.parse takes many texts; what sorts as a date in every place begins with year, month and day.
  if (/^\d{4}-\d{2}-\d{2}/.test(text) && !Number.isNaN(at)) return Math.max(0, at);
  throw new BadRequestError("invalid_since", "since must be an RFC 3339 date, as 2026-11-21T05:00:00Z", [
    { path: "?since", message: "is no date" },
  ]);
}

type ReadPage<T> = (
  ledger: Remote<DayLedger>,
  before: ListPosition | undefined,
  limit: number,
) => Promise<ListRow<T>[]>;

export async function listPage<T>(
  env: Env,
  cursor: string | undefined,
  limit: number,
  read: ReadPage<T>,
  /** No day before this one has a row of the list, epoch ms. */
  since = 0,
): Promise<Page<T>> {
  const before = cursor === undefined || cursor === "" ? undefined : decodeCursor(cursor);
  const now = Date.now();
  const oldest = dayOf(Math.max(since, now - retentionMs(env)));
  // One more than the page, which says whether another page follows.
  const wanted = limit + 1;
  const ledgersAtOnce = Math.max(1, Math.floor(ROWS_AT_ONCE_MAX / wanted));
  let rows: ListRow<T>[] = [];
  // The current day alone first: nearly every page ends there.
  for (
    let day = Math.min(before === undefined ? now : before.ms, now), width = 1;
    rows.length < limit && dayOf(day) >= oldest;
    width = DAYS_AT_ONCE
  ) {
    const days: number[] = [];
    for (let one = dayOf(day); days.length < width && one >= oldest; one = previousDay(one)) days.push(one);
    const names = days.flatMap((one) => ledgersOfDay(env, one));
    for (let at = 0; at < names.length; at += ledgersAtOnce) {
      const asked = names.slice(at, at + ledgersAtOnce);
      const found = await Promise.all(asked.map((name) => read(env.LEDGERS.getByName(name), before, wanted)));
      // Only what the page can still show is kept, however many days and shards are asked.
      rows = [...rows, ...found.flat()].sort(newestFirst).slice(0, wanted);
    }
    day = previousDay(days.at(-1) ?? oldest);
  }
  const items = rows.slice(0, limit);
  const last = items.at(-1);
  return {
    items: items.map((row) => row.view),
    nextCursor: rows.length >= limit && last !== undefined ? encodeCursor(last) : undefined,
  };
}

function newestFirst(a: ListPosition, b: ListPosition): number {
  return b.ms - a.ms || (a.id < b.id ? 1 : -1);
}

function encodeCursor({ ms, id }: ListPosition): string {
  return btoa(`${ms} ${id}`).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

function decodeCursor(cursor: string): ListPosition {
  const match = /^([0-9]{1,15}) ([0-9a-z_]+)$/.exec(plain(cursor));
  if (match?.[2] === undefined || match[2].length > CURSOR_ID_MAX_CHARS)
    throw new BadRequestError(
      "invalid_cursor",
      "this cursor is none of ours: pass the nextCursor of the page before",
      [{ path: "?cursor", message: "is not valid" }],
    );
  return { ms: Number(match[1]), id: match[2] };
}

function plain(cursor: string): string {
  try {
    return atob(cursor.replaceAll("-", "+").replaceAll("_", "/"));
  } catch {
    return "";
  }
}
