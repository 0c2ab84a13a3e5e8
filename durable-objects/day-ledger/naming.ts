/** Which ledger lists what: one for each UTC day and hash shard. And how long things are kept. */
import { RETENTION_DEFAULT_DAYS, RETENTION_MAX_DAYS } from "../../contract/limits.ts";
import { iso } from "../../contract/run-view.ts";

const DAY_MS = 86_400_000;
const SHARDS_MAX = 64;

/** The settings that this depends on, as wrangler.toml gives them. */
export interface LedgerSettings {
  RETENTION_DAYS?: string;
  LEDGER_SHARDS?: string;
}

/** Start of the UTC day, epoch ms. */
export function dayOf(time: number): number {
  return Math.floor(time / DAY_MS) * DAY_MS;
}

export function previousDay(day: number): number {
  return day - DAY_MS;
}

export function retentionMs(settings: LedgerSettings): number {
  return bounded(settings.RETENTION_DAYS, RETENTION_DEFAULT_DAYS, RETENTION_MAX_DAYS) * DAY_MS;
}

export function shardCount(settings: LedgerSettings): number {
  return bounded(settings.LEDGER_SHARDS, 1, SHARDS_MAX);
}

/** A ledger is dropped when the last moment of its day is older than the retention. */
export function ledgerExpiry(settings: LedgerSettings, day: number): number {
  return day + DAY_MS + retentionMs(settings);
}

/** The ledger that lists an event key's rows on a day: `2026-11-21/0`. */
export function ledgerName(settings: LedgerSettings, day: number, eventKey: string): string {
  let hash = 7;
  for (let at = 0; at < eventKey.length; at += 1) hash = (hash * 31 + eventKey.charCodeAt(at)) % 65_521;
  return shardName(day, hash % shardCount(settings));
}

/** All ledgers of a day. */
export function ledgersOfDay(settings: LedgerSettings, day: number): string[] {
  return Array.from({ length: shardCount(settings) }, (_unused, shard) => shardName(day, shard));
}

/** The day that a ledger's name says, epoch ms. */
export function dayOfLedger(name: string): number {
  return Date.parse(`${name.slice(0, 10)}T00:00:00.000Z`);
}

function shardName(day: number, shard: number): string {
  return `${iso(day).slice(0, 10)}/${shard}`;
}

function bounded(text: string | undefined, fallback: number, most: number): number {
  const value = Number(text);
  return Number.isInteger(value) && value >= 1 ? Math.min(value, most) : fallback;
}
