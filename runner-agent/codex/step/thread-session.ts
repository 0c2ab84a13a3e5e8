/**
 * One thread of Codex in the hands of one step: its turns, and how it is left (how it is opened: open-thread.ts). What Codex
 * tells of the thread is redacted before anything else looks at it (invariant 15): a text that is first cut and then redacted could
 * show half a secret.
 */
import type { AgentItem } from "../../../contract/agent-item.ts";
import type { Message } from "../../conversation.ts";
import type { Redactor, RedactionStream } from "../../steps/redaction.ts";
import { AppServerExitedError, CodexError, RequestTimeoutError } from "../errors.ts";
import { codexItems, errorCode } from "../items.ts";
import type { ClientMethods, ServerNotification } from "../protocol.ts";
import type { ServerLease } from "../shared-server.ts";
import { Offshoots } from "./offshoots.ts";

export type TurnOutcome =
  /** `messages`: all of the turn, the last of which is its answer. */
  | { kind: "completed"; answer: string; messages: string[] }
  /** `answer`: what the agent had said last, when no work followed it. */
  | { kind: "interrupted"; answer?: string }
  | { kind: "failed"; code: string; message: string };

export interface TurnOptions {
  text: string;
  effort?: string | undefined;
  outputSchema?: unknown;
  /** Codex has it. */
  begun?: (() => void) | undefined;
}

/** For an interrupt, and again to say that the turn is over, Codex has this long. */
const INTERRUPT_MS = 3_000;
const CLOSE_REQUEST_MS = 3_000;

/** What ends something of a thread. */
type ClosingMethod =
  "turn/interrupt" | "thread/goal/clear" | "thread/backgroundTerminals/clean" | "thread/unsubscribe";
/** Never rejects: what fails here fails since the server is going, hangs, or there is nothing to do. */
export type ClosingRequest = <Method extends ClosingMethod>(
  method: Method,
  params: ClientMethods[Method]["params"],
) => Promise<void>;

/**
 * The last word of a step that has got no thread: whoever had to end while it waited for one does not know whether the
 * server hangs. One that does is given to nobody. Never rejects.
 */
export async function answersYet(lease: ServerLease): Promise<void> {
  try {
    await lease.server.request("thread/loaded/list", { limit: 1 }, { timeoutMs: CLOSE_REQUEST_MS });
  } catch (error) {
    if (!(error instanceof CodexError)) throw error;
    if (error instanceof RequestTimeoutError) lease.retire();
  }
}

export class ThreadSession {
  readonly threadId: string;
  readonly turnIds: string[] = [];
  /** Turns that began in these hands, as soon as Codex tells of them. */
  readonly #own = new Set<string>();
  readonly #lease: ServerLease;
  readonly #cwd: string;
  readonly #redactor: Redactor;
  readonly #told: (items: AgentItem[], of: ServerNotification) => void;
  readonly #shown: (messageId: string) => void;
  readonly #offshoots: Offshoots;
  readonly #stopListening: Array<() => void>;
  /** Of deltas, by the item they belong to. */
  readonly #streams = new Map<string, RedactionStream>();
  #turn: PromiseWithResolvers<TurnOutcome> | undefined;
  #turnId: string | undefined;
  /** Resolves when Codex has said which turn the active one is. */
  #begun = Promise.withResolvers<undefined>();
  #messages: string[] = [];
  /** The last item that the agent finished in the active turn, when it is a message. */
  #lastWords: string | undefined;
  #complete = false;
  /** The server did not answer in time: it is asked nothing more. */
  #hung = false;

  /**
   * @param told what Codex has said, each time that it says something, and as it has said it; both redacted
   * @param shown a message that steered a turn is part of it now
   */
  constructor(given: {
    lease: ServerLease;
    threadId: string;
    cwd: string;
    redactor: Redactor;
    told: (items: AgentItem[], of: ServerNotification) => void;
    shown: (messageId: string) => void;
  }) {
    this.threadId = given.threadId;
    this.#lease = given.lease;
    this.#cwd = given.cwd;
    this.#redactor = given.redactor;
    this.#told = given.told;
    this.#shown = given.shown;
    this.#offshoots = new Offshoots(given.threadId);
    const { server } = given.lease;
    this.#stopListening = [
      server.onNotification((notification) => {
        this.#offshoots.heard(notification);
      }),
      server.onNotification((notification) => {
        this.#heard(notification);
      }, given.threadId),
    ];
  }

  /** One turn, until it is over. @throws CodexError when the app-server goes meanwhile */
  async turn({ text, effort, outputSchema, begun }: TurnOptions): Promise<TurnOutcome> {
    return await this.#untilOver(async () => {
      const started = this.#lease.server.request("turn/start", {
        threadId: this.threadId,
        input: [{ type: "text", text, text_elements: [] }],
        ...(effort === undefined ? {} : { effort: effort }),
        ...(outputSchema === undefined ? {} : { outputSchema: outputSchema }),
      });
      // Which turn has begun, or whether one is still going to, is not known.
      const { turn } = await started.catch((error: unknown) => {
        if (error instanceof RequestTimeoutError) this.#hangs();
        throw error;
      });
      this.#begin(turn.id);
      begun?.();
    });
  }

  /**
   * A script as one turn, by a Codex that can (`code-mode/fork.ts`). The answer to the request may come as late as the
   * turn's end; which turn it is, Codex tells. @throws CodexError
   */
  async execute(source: string, timeoutMs: number): Promise<TurnOutcome> {
    const { threadId } = this;
    return await this.#untilOver(async () => {
      await this.#lease.server.request("thread/codeMode/execute", { threadId, source }, { timeoutMs });
    });
  }

  async #untilOver(start: () => Promise<void>): Promise<TurnOutcome> {
    const turn = Promise.withResolvers<TurnOutcome>();
    this.#turn = turn;
    this.#begun = Promise.withResolvers();
    this.#messages = [];
    this.#lastWords = undefined;
    this.#complete = false;
    const gone = this.#lease.server.ended.then(({ error }) => {
      throw error ?? new AppServerExitedError("Codex's app-server is gone");
    });
    try {
      return await Promise.race([start().then(() => turn.promise), turn.promise, gone]);
    } finally {
      this.#turn = undefined;
      this.#turnId = undefined;
    }
  }

  #begin(turnId: string): void {
    if (this.#turn === undefined || this.#turnId === turnId) return;
    this.#turnId = turnId;
    this.turnIds.push(turnId);
    this.#begun.resolve(undefined);
  }

  /** Puts a message into the active turn, which will show it. False when there is none that takes it. */
  async steer({ id, text }: Pick<Message, "id" | "text">): Promise<boolean> {
    const expectedTurnId = this.#turnId;
    if (expectedTurnId === undefined) return false;
    try {
      await this.#lease.server.request("turn/steer", {
        threadId: this.threadId,
        expectedTurnId,
        clientUserMessageId: id,
        input: [{ type: "text", text, text_elements: [] }],
      });
      return true;
    } catch (error) {
      if (error instanceof CodexError) return false;
      throw error;
    }
  }

  /** Ends the active turn; its `turn()` resolves. Running commands stay: see `clean`. */
  async interrupt(): Promise<void> {
    const turn = this.#turn;
    if (turn === undefined) return;
    // Codex has to say which turn it is, first; and that it is over, in the end.
    const timer = setTimeout(() => {
      if (this.#turnId === undefined) this.#hangs();
      turn.resolve(this.#interrupted());
    }, 2 * INTERRUPT_MS);
    void turn.promise.then(() => {
      clearTimeout(timer);
    });
    await Promise.race([this.#begun.promise, turn.promise]);
    const turnId = this.#turnId;
    if (turn !== this.#turn || turnId === undefined) return;
    await this.#closing("turn/interrupt", { threadId: this.threadId, turnId });
    if (this.#hung) turn.resolve(this.#interrupted());
  }

  /** The last turn came to its own end, and was all that the agent did: it has no command in its hands. */
  get complete(): boolean {
    return this.#complete && !this.#offshoots.any;
  }

  /** Its own thread, and those of sub-agents in it. */
  get threads(): string[] {
    return [this.threadId, ...this.#offshoots.threads];
  }

  /** Has Codex end what goes on by itself, and what commands have left behind. Never rejects. */
  async clean(): Promise<void> {
    await this.#offshoots.end(this.#closing);
    await this.#closing("thread/backgroundTerminals/clean", { threadId: this.threadId });
  }

  /** Gives the thread up for others. Nothing is told from now on. Never rejects. */
  async close(): Promise<void> {
    for (const stop of this.#stopListening) stop();
    await this.#closing("thread/unsubscribe", { threadId: this.threadId });
  }

  readonly #closing: ClosingRequest = async (method, params) => {
    if (this.#hung) return;
    try {
      await this.#lease.server.request(method, params, { timeoutMs: CLOSE_REQUEST_MS });
    } catch (error) {
      if (!(error instanceof CodexError)) throw error;
      if (error instanceof RequestTimeoutError) this.#hangs();
    }
  };

  #hangs(): void {
    this.#hung = true;
    this.#lease.retire();
  }

  /** The server does not answer, so a turn may go on in it that nobody can end but with the server. */
  get hung(): boolean {
    return this.#hung;
  }

  #heard(raw: ServerNotification): void {
    if (raw.method === "turn/started") {
      this.#own.add(raw.params.turn.id);
      this.#begin(raw.params.turn.id);
    }
    // A resumed thread tells its last usage once more: an earlier run has counted that.
    if (raw.method === "thread/tokenUsage/updated" && !this.#own.has(raw.params.turnId)) return;
    const notification = this.#redacted(raw);
    if (notification === undefined) return;
    if (notification.method === "item/completed" && notification.params.item.type === "agentMessage") {
      this.#lastWords = notification.params.item.text;
      this.#messages.push(this.#lastWords);
    } else if (notification.method === "item/started") this.#lastWords = undefined;
    this.#told(codexItems(notification, this.#cwd), notification);
    if (raw.method === "item/completed" && raw.params.item.type === "userMessage")
      this.#shown(raw.params.item.clientId ?? "");
    if (notification.method === "turn/completed") this.#completed(notification.params.turn);
  }

  #completed(turn: Extract<ServerNotification, { method: "turn/completed" }>["params"]["turn"]): void {
    if (this.#turnId !== undefined && turn.id !== this.#turnId) return;
    const { status, error } = turn;
    if (status === "completed") {
      const messages = this.#messages;
      this.#complete = true;
      this.#turn?.resolve({ kind: "completed", answer: messages.at(-1) ?? "", messages });
    } else if (status === "interrupted") this.#turn?.resolve(this.#interrupted());
    else
      this.#turn?.resolve({
        kind: "failed",
        code: (error === null ? undefined : errorCode(error)) ?? "unknown",
        message: error?.message ?? "Codex does not say why",
      });
  }

  #interrupted(): TurnOutcome {
    return { kind: "interrupted", ...(this.#lastWords === undefined ? {} : { answer: this.#lastWords }) };
  }

  /** Undefined for a delta of which nothing may be shown yet. */
  #redacted(notification: ServerNotification): ServerNotification | undefined {
    const { params } = notification;
    if ("delta" in params && typeof params.delta === "string" && "itemId" in params) {
      const key = `${notification.method} ${params.itemId}`;
      const stream = this.#streams.get(key) ?? this.#redactor.stream();
      this.#streams.set(key, stream);
      const delta = stream.write(params.delta);
      return delta === ""
        ? undefined
        : ({ ...notification, params: { ...params, delta } } as ServerNotification);
    }
    // The whole of an item comes with its end: what a stream of it still holds back is in there.
    if (notification.method === "item/completed")
      for (const key of this.#streams.keys())
        if (key.endsWith(` ${notification.params.item.id}`)) this.#streams.delete(key);
    return { ...notification, params: this.#redactor.value(params) } as ServerNotification;
  }
}
