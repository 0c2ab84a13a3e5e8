/**
 * Discord's side of an interaction: it signs the payload, sends it, gives up after three seconds, checks the answer and
 * shows it. It can also send what somebody else would: forged, tampered with, stale, twice.
 */
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { DiscordError } from "./errors.ts";
import type { ProtocolFault } from "./faults.ts";
import { applyAnswer, FAILED, type InteractionAnswer, type Shown } from "./interaction-answers.ts";
import type { InteractionRecord } from "./interaction-records.ts";
import type { InteractionPayload } from "./payloads.ts";
import { RuleError } from "./posting.ts";
import type { Signed, Signer, Spoiling } from "./signer.ts";
import type { World } from "./world.ts";

export interface InteractOptions {
  /** The endpoint has to refuse it. */
  spoil?: Spoiling;
  /** Signed rightly, so long ago; below zero: in the future. */
  staleMs?: number;
  /** Signed now, sent so much later. */
  delayMs?: number;
  /** Sends it in the fake's stead. */
  through?: (url: string, signed: Signed) => Promise<Heard>;
}

export interface Interacted extends Shown {
  id: string;
  token: string;
  /** As it went out, for `replay` and `resign`. */
  sent: Signed & { url: string; payload: string };
  /** Undefined when no answer came in time. */
  status: number | undefined;
  /** From sending it to the end of its answer, ms. */
  tookMs: number;
  /** The answer's text; empty when none came. */
  text: string;
  answer: InteractionAnswer | undefined;
  /** What was wrong with the answer; they stand in `fake.faults` as well. */
  faults: ProtocolFault[];
}

const PING = 1;

/** What came back. */
export interface Heard {
  /** Undefined when nothing came in time. */
  status: number | undefined;
  /** From sending it to the end of its answer, ms. */
  tookMs: number;
  text: string;
  contentType: string;
  why: string | undefined;
}

export class Interactions {
  readonly #world: World;
  readonly #signer: Signer;

  constructor(world: World, signer: Signer) {
    this.#world = world;
    this.#signer = signer;
  }

  async interact(url: string, given: InteractionPayload, options: InteractOptions = {}): Promise<Interacted> {
    const world = this.#world;
    const record: InteractionRecord = {
      id: world.newId(),
      token: randomBytes(48).toString("base64url"),
      type: given.type,
      userId: actorOf(given),
      channelId: given.channel_id,
      createdAtMs: world.nowMs(),
      answeredAtMs: undefined,
      original: undefined,
      thinking: false,
    };
    const payload = JSON.stringify({ ...given, id: record.id, token: record.token });
    const signed = this.#signer.sign(payload, world.nowMs() - (options.staleMs ?? 0), options.spoil);
    const honest = options.spoil === undefined && options.staleMs === undefined;
    if (honest) world.interactions.set(record.token, record);
    if (options.delayMs !== undefined) await sleep(options.delayMs);
    const heard = await (options.through?.(url, signed) ?? this.#send(url, signed));
    const sent = { ...signed, url, payload };
    const base = {
      id: record.id,
      token: record.token,
      sent,
      status: heard.status,
      tookMs: heard.tookMs,
      text: heard.text,
    };
    const faults: ProtocolFault[] = [];
    const report = (rule: string, message: string, tolerated: boolean): void => {
      const fault = {
        rule,
        message,
        where: `interaction ${record.id}`,
        tolerated,
        body: answerOf(heard.text),
      };
      faults.push(fault);
      world.report(fault);
    };
    if (!honest) {
      if (options.spoil !== undefined && heard.status !== 401)
        report("accepted_spoiled", `a request ${options.spoil} got ${String(heard.status)}, not 401`, false);
      return { ...base, ...FAILED, answer: answerOf(heard.text), faults };
    }
    return { ...base, ...this.#show(given, record, heard, report), answer: answerOf(heard.text), faults };
  }

  /** The very same bytes again, as somebody who overheard them would send them. */
  async replay({ sent }: Interacted): Promise<{ status: number | undefined; text: string }> {
    const { status, text } = await this.#send(sent.url, sent);
    return { status, text };
  }

  /** The same interaction with a new timestamp and a right signature. */
  async resign({ sent }: Interacted): Promise<{ status: number | undefined; text: string }> {
    // A second later, or the signature would be the same.
    const signed = this.#signer.sign(sent.payload, this.#world.nowMs() + 1_000);
    const { status, text } = await this.#send(sent.url, signed);
    return { status, text };
  }

  /** What Discord does before it takes a URL, and later at random; answers what is wrong with it. */
  async verifyEndpoint(url: string): Promise<string | undefined> {
    const ping = JSON.stringify({
      id: this.#world.newId(),
      application_id: this.#world.app.id,
      type: PING,
      version: 1,
      token: randomBytes(48).toString("base64url"),
    });
    const right = await this.#send(url, this.#signer.sign(ping, this.#world.nowMs()));
    if (right.status !== 200) return `a PING got ${right.why ?? String(right.status)}`;
    if (!right.contentType.startsWith("application/json"))
      return "the answer to a PING is not application/json";
    if (answerOf(right.text)?.type !== PING) return `a PING got ${right.text.slice(0, 200)}`;
    const wrong = await this.#send(url, this.#signer.sign(ping, this.#world.nowMs(), "forged"));
    return wrong.status === 401
      ? undefined
      : `a bad signature got ${wrong.why ?? String(wrong.status)}, not 401`;
  }

  async #send(url: string, signed: Signed): Promise<Heard> {
    return sendSigned(url, signed, this.#world.options.answerMs);
  }

  #show(
    given: InteractionPayload,
    record: InteractionRecord,
    heard: Heard,
    report: (rule: string, message: string, tolerated: boolean) => void,
  ): Shown {
    if (heard.status === undefined) {
      report("no_answer", heard.why ?? "", false);
      return FAILED;
    }
    const answer = answerOf(heard.text);
    if (heard.status !== 200 || !heard.contentType.startsWith("application/json") || answer === undefined) {
      report("wrong_answer", `${heard.status} ${heard.contentType} ${heard.text.slice(0, 500)}`, false);
      return FAILED;
    }
    const { id } = (given["message"] ?? {}) as { id?: string };
    try {
      const asked = {
        record,
        message: this.#world.messages.get(id ?? ""),
        focusedType: focusedType(given.data),
      };
      return applyAnswer(this.#world, asked, answer, (rule, message) => report(rule, message, true));
    } catch (error) {
      if (!(error instanceof DiscordError)) throw error;
      record.answeredAtMs = undefined;
      report(
        error instanceof RuleError ? error.rule : "schema",
        `${error.message} ${JSON.stringify(error.errors ?? {})}`,
        false,
      );
      return FAILED;
    }
  }
}

/** Sends it, and waits so long for the answer. */
export async function sendSigned(url: string, { headers, body }: Signed, answerMs: number): Promise<Heard> {
  const sentAt = performance.now();
  try {
    const signal = AbortSignal.timeout(answerMs);
    const response = await fetch(url, { method: "POST", headers, body: new Uint8Array(body), signal });
    const text = await response.text();
    return {
      status: response.status,
      tookMs: performance.now() - sentAt,
      text,
      contentType: response.headers.get("content-type") ?? "",
      why: undefined,
    };
  } catch (error) {
    const tookMs = performance.now() - sentAt;
    return { status: undefined, tookMs, text: "", contentType: "", why: String(error) };
  }
}

function actorOf(payload: InteractionPayload): string {
  const { member, user } = payload as { member?: { user: { id: string } }; user?: { id: string } };
  return (member?.user ?? user)?.id ?? "";
}

function answerOf(text: string): InteractionAnswer | undefined {
  try {
    const value = JSON.parse(text) as unknown;
    return typeof value === "object" && value !== null && "type" in value
      ? (value as InteractionAnswer)
      : undefined;
  } catch {
    return undefined;
  }
}

function focusedType(data: Record<string, unknown>): number | undefined {
  const options = (data["options"] ?? []) as Array<Record<string, unknown>>;
  for (const option of options) {
    if (option["focused"] === true) return option["type"] as number;
    const inside = focusedType(option);
    if (inside !== undefined) return inside;
  }
  return undefined;
}
