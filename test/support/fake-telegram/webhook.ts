/**
 * The webhook of the bot: updates in their order, each delivered again until the endpoint answers 2xx. It owns the
 * queue and its timer.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { RuleError } from "./errors.ts";
import type { World } from "./world.ts";

export interface Update {
  update_id: number;
  [kind: string]: unknown;
}

export interface Delivery {
  update: Update;
  /** Undefined when no answer came. */
  status: number | undefined;
  text: string;
}

/** `wrong` and `none` are somebody else's requests: they are sent once, and have to be refused. */
export type SecretChoice = "right" | "wrong" | "none";

/** Kinds that are not sent unless they are asked for. */
const NOT_BY_DEFAULT = ["chat_member", "message_reaction", "message_reaction_count"];
/** Telegram waits about so long for an answer. */
const ANSWER_MS = 10_000;

export class Webhook {
  /** Every request that was made, in its order. */
  readonly deliveries: Delivery[] = [];
  readonly #world: World;
  readonly #stopped = new AbortController();
  #url = "";
  #secret: string | undefined;
  #allowed: string[] | undefined;
  #maxConnections = 40;
  #nextId = 500_000;
  #pending = 0;
  #lastError: string | undefined;
  #queue: Promise<unknown> = Promise.resolve();

  constructor(world: World) {
    this.#world = world;
  }

  get url(): string | undefined {
    return this.#url === "" ? undefined : this.#url;
  }

  get secret(): string | undefined {
    return this.#secret;
  }

  set(parameters: Record<string, unknown>): true {
    const url = String(parameters["url"]);
    if (url !== "") {
      if (!URL.canParse(url)) throw new RuleError("webhook_url", "bad webhook: URL is invalid");
      const { protocol, hostname } = new URL(url);
      if (protocol !== "https:" && hostname !== "127.0.0.1" && hostname !== "localhost")
        throw new RuleError("webhook_url", "bad webhook: An HTTPS URL must be provided for webhook");
    }
    this.#url = url;
    this.#secret = parameters["secret_token"] as string | undefined;
    this.#allowed = (parameters["allowed_updates"] as string[] | undefined) ?? this.#allowed;
    this.#maxConnections = (parameters["max_connections"] as number | undefined) ?? 40;
    return true;
  }

  remove(drop: boolean): true {
    this.#url = "";
    if (drop) this.#pending = 0;
    return true;
  }

  info(): Record<string, unknown> {
    return {
      url: this.#url,
      has_custom_certificate: false,
      pending_update_count: this.#pending,
      max_connections: this.#maxConnections,
      ...(this.#allowed === undefined ? {} : { allowed_updates: this.#allowed }),
      ...(this.#lastError === undefined ? {} : { last_error_message: this.#lastError }),
    };
  }

  /** Numbers an update, without sending it. */
  number(kind: string, value: unknown): Update {
    this.#nextId += 1;
    return { update_id: this.#nextId, [kind]: value };
  }

  /** Resolves when the update was taken; undefined when its kind is not wanted. Rejects when Telegram gives up. */
  async deliver(update: Update): Promise<Delivery | undefined> {
    const kinds = Object.keys(update).filter((key) => key !== "update_id");
    const wanted = (kind: string): boolean =>
      this.#allowed === undefined || this.#allowed.length === 0
        ? !NOT_BY_DEFAULT.includes(kind)
        : this.#allowed.includes(kind);
    if (!kinds.every(wanted)) return undefined;
    this.#pending += 1;
    const delivered = this.#queue.then(() => this.#untilTaken(update));
    this.#queue = delivered.catch(() => undefined);
    try {
      return await delivered;
    } finally {
      this.#pending -= 1;
    }
  }

  /** One request, whatever becomes of it. */
  async send(update: Update, secret: SecretChoice = "right"): Promise<Delivery> {
    if (this.#url === "") throw new Error("no webhook is set");
    const value = secret === "wrong" ? "not-the-secret" : this.#secret;
    const delivery: Delivery = { update, status: undefined, text: "" };
    this.deliveries.push(delivery);
    try {
      const response = await fetch(this.#url, {
        method: "POST",
        headers: {
          "content-type": "application/json",
          ...(secret === "none" || value === undefined ? {} : { "x-telegram-bot-api-secret-token": value }),
        },
        body: JSON.stringify(update),
        signal: AbortSignal.any([this.#stopped.signal, AbortSignal.timeout(ANSWER_MS)]),
      });
      delivery.text = await response.text();
      delivery.status = response.status;
    } catch (error) {
      delivery.text = String(error);
    }
    return delivery;
  }

  stop(): void {
    this.#stopped.abort();
  }

  async #untilTaken(update: Update): Promise<Delivery> {
    const { deliveries, redeliverMs } = this.#world.options;
    for (let count = 0; count < deliveries; count += 1) {
      const delivery = await this.send(update);
      if (delivery.status !== undefined && delivery.status >= 200 && delivery.status < 300) return delivery;
      this.#lastError = `Wrong response from the webhook: ${String(delivery.status)}`;
      await sleep(redeliverMs, undefined, { signal: this.#stopped.signal });
    }
    throw new Error(`update ${update.update_id} was not taken in ${deliveries} deliveries`);
  }
}
