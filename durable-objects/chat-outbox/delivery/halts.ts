/**
 * Why nothing at all is sent, and until when. There may be several reasons at once, and none takes the place of another:
 * the one that lasts longest counts. They survive a restart; those that are over are forgotten when something went well
 * again, so that whoever is blocked anew knows how often it was in a row.
 */
import type { HaltCode } from "../../../contract/chat/outbox-codes.ts";
import type { ChatOutboxStatus } from "../calls.ts";
import { blockMs } from "./pace.ts";
import type { DeliveryRows } from "./rows.ts";

/** How often a token that is refused is tried again. */
const TOKEN_RETRY_MS = 15 * 60_000;

interface Halt {
  code: HaltCode;
  message: string;
  until: number;
  /** Of the token that was refused: another one is tried at once. */
  token?: string;
  /** Blocks in a row. */
  streak?: number;
}

export class Halts {
  readonly #rows: DeliveryRows;
  readonly #token: string;
  readonly #byCode = new Map<HaltCode, Halt>();

  /** @param token a fingerprint of the bot's token */
  constructor(rows: DeliveryRows, token: string) {
    this.#rows = rows;
    this.#token = token;
  }

  /** As it was stored. One of another token than this is over. */
  load(value: unknown): void {
    const halt = value as Halt;
    this.#byCode.set(halt.code, halt);
    if (halt.token !== undefined && halt.token !== this.#token) this.#drop(halt.code);
  }

  /** Epoch ms; 0: nothing halts. */
  get until(): number {
    return Math.max(0, ...[...this.#byCode.values()].map(({ until }) => until));
  }

  /** The same of what concerns the address that all is sent from, and not only what is sent as the bot. */
  get untilOfAddress(): number {
    const halts = [...this.#byCode.values()].filter(
      ({ code, token }) => token === undefined && code !== BOT_LIMITED,
    );
    return Math.max(0, ...halts.map(({ until }) => until));
  }

  botLimited(until: number): void {
    this.add(BOT_LIMITED, "the platform asks the whole bot to wait", until);
  }

  /** Of two ends for the same reason, the later one. */
  add(code: HaltCode, message: string, until: number): void {
    if ((this.#byCode.get(code)?.until ?? 0) < until) this.#put({ code, message, until });
  }

  refusedToken({ code, message }: { code: HaltCode; message: string }, now: number): void {
    this.#put({ code, message, until: now + TOKEN_RETRY_MS, token: this.#token });
  }

  /** The address is blocked. What was under way when it was says nothing new. */
  blocked(now: number): void {
    const known = this.#byCode.get(BLOCKED);
    if (known !== undefined && known.until > now) return;
    const streak = (known?.streak ?? 0) + 1;
    const message = "the address that this edge sends from is blocked; others may have caused it";
    this.#put({ code: BLOCKED, message, until: now + blockMs(streak), streak });
  }

  wentWell(now: number): void {
    for (const { code, until } of this.#byCode.values()) if (until <= now) this.#drop(code);
  }

  /** For people: what lasts longest. */
  status(now: number): ChatOutboxStatus["halted"] {
    // A refused token is tried again now and then, but it is somebody who has to mend it.
    const lasting = [...this.#byCode.values()]
      .map((halt) => ({ ...halt, until: halt.token === undefined ? halt.until : Infinity }))
      .filter(({ until }) => until > now)
      .sort((a, b) => b.until - a.until)[0];
    if (lasting === undefined) return undefined;
    const { code, message, until } = lasting;
    return { code, message, ...(Number.isFinite(until) ? { until } : {}) };
  }

  #put(halt: Halt): void {
    this.#byCode.set(halt.code, halt);
    this.#rows.putBarrier(`${HALT_SCOPE}:${halt.code}`, halt);
  }

  #drop(code: HaltCode): void {
    this.#byCode.delete(code);
    this.#rows.deleteBarrier(`${HALT_SCOPE}:${code}`);
  }
}

/** Kind of the barriers that hold them. */
export const HALT_SCOPE = "halt";
const BLOCKED = "ip_blocked";
const BOT_LIMITED = "429";
