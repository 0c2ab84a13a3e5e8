/**
 * One thread of Codex in the hands of one step: how it is opened, its turns, and how it is left. What Codex tells of the
 * thread is redacted before anything else looks at it (invariant 15): a text that is first cut and then redacted could
 * show half a secret.
 */
import type { AgentItem } from "../../../contract/agent-item.ts";
import type { Message } from "../../conversation.ts";
import type { Redactor, RedactionStream } from "../../steps/redaction.ts";
import { AppServerExitedError, CodexError, RequestFailedError, RequestTimeoutError } from "../errors.ts";
import { codexItems, errorCode } from "../items.ts";
import type { JsonValue, ServerNotification } from "../protocol.ts";
import type { ServerLease } from "../shared-server.ts";
import type { CodexSettings } from "./prompt-template.ts";

/** Where the thread comes from. */
export type ThreadOrigin =
  { kind: "new" } | { kind: "resume"; threadId: string } | { kind: "fork"; threadId: string };

/** The thread is not there any more, or cannot be read. Its own error: a step may begin a new one, or stop here. */
export class ThreadNotResumableError extends Error {
  override readonly name = "ThreadNotResumableError";
  readonly code = "thread_not_resumable";
}

/** Another program writes to the thread. No run fails by it: the thread is forked, or the step is blocked. */
export class ThreadBusyError extends Error {
  override readonly name = "ThreadBusyError";
}

/** What a thread has to be told each time that it is opened. */
export type ThreadSettings = Pick<CodexSettings, "model" | "sandbox" | "approvalPolicy" | "network">;

export interface ThreadOptions {
  settings: ThreadSettings;
  cwd: string;
  /** The whole environment of the commands that Codex runs. */
  variables: Record<string, string>;
  /** Keys of a config.toml, for this thread alone. */
  config: Record<string, JsonValue>;
}

/** A thread that was opened, and the model that its turns ask: Codex's choice where the step makes none. */
export interface OpenedThread {
  threadId: string;
  model: string;
}

/** Opens a thread. Sandbox and configuration go with every way in: a resume restores neither. */
export async function openThread(
  { server }: ServerLease,
  origin: ThreadOrigin,
  { settings, cwd, variables, config }: ThreadOptions,
): Promise<OpenedThread> {
  const params = {
    cwd,
    sandbox: settings.sandbox,
    approvalPolicy: settings.approvalPolicy,
    ...(settings.model === undefined ? {} : { model: settings.model }),
    config: {
      ...config,
      shell_environment_policy: { inherit: "none", set: variables },
      sandbox_workspace_write: { network_access: settings.network },
    },
  };
  if (origin.kind === "new") return opened(await server.request("thread/start", params));
  const { threadId } = origin;
  try {
    return opened(
      origin.kind === "fork"
        ? await server.request("thread/fork", { threadId, ...params })
        : await server.request("thread/resume", { threadId, excludeTurns: true, ...params }),
    );
  } catch (error) {
    if (!(error instanceof RequestFailedError)) throw error;
    if (error.message.includes("already has an active writer"))
      throw new ThreadBusyError(`thread ${threadId} is in use by another program on this box`);
    throw new ThreadNotResumableError(`thread ${threadId} cannot be resumed: ${error.message}`);
  }
}

function opened({ thread, model }: { thread: { id: string }; model: string }): OpenedThread {
  return { threadId: thread.id, model };
}

export type TurnOutcome =
  /** `messages`: all of the turn, the last of which is its answer. */
  | { kind: "completed"; answer: string; messages: string[] }
  | { kind: "interrupted" }
  | { kind: "failed"; code: string; message: string };

export interface TurnOptions {
  text: string;
  effort?: string | undefined;
  outputSchema?: unknown;
  /** Codex has it. */
  begun?: (() => void) | undefined;
}

/** After an interrupt, Codex has this long to say that the turn is over. */
const INTERRUPT_MS = 3_000;
const CLOSE_REQUEST_MS = 3_000;

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
  readonly #stopListening: () => void;
  /** Of deltas, by the item they belong to. */
  readonly #streams = new Map<string, RedactionStream>();
  #turn: PromiseWithResolvers<TurnOutcome> | undefined;
  #turnId: string | undefined;
  /** Resolves when Codex has said which turn the active one is. */
  #begun = Promise.withResolvers<undefined>();
  #messages: string[] = [];
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
    this.#stopListening = given.lease.server.onNotification((notification) => {
      this.#heard(notification);
    }, given.threadId);
  }

  /** One turn, until it is over. @throws CodexError when the app-server goes meanwhile */
  async turn({ text, effort, outputSchema, begun }: TurnOptions): Promise<TurnOutcome> {
    return await this.#untilOver(async () => {
      const { turn } = await this.#lease.server.request("turn/start", {
        threadId: this.threadId,
        input: [{ type: "text", text, text_elements: [] }],
        ...(effort === undefined ? {} : { effort: effort }),
        ...(outputSchema === undefined ? {} : { outputSchema: outputSchema }),
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
    // Codex has to say which turn it is, first.
    await Promise.race([this.#begun.promise, turn?.promise]);
    const turnId = this.#turnId;
    if (turn === undefined || turn !== this.#turn || turnId === undefined) return;
    await this.#try("turn/interrupt", { threadId: this.threadId, turnId }, INTERRUPT_MS);
    if (this.#hung) turn.resolve({ kind: "interrupted" });
    const timer = setTimeout(() => {
      turn.resolve({ kind: "interrupted" });
    }, INTERRUPT_MS);
    void turn.promise.then(() => {
      clearTimeout(timer);
    });
  }

  /** The last turn came to its own end: it has no command in its hands. */
  get complete(): boolean {
    return this.#complete;
  }

  /** Has Codex end what commands have left behind. Never rejects. */
  async clean(): Promise<void> {
    await this.#try("thread/backgroundTerminals/clean", { threadId: this.threadId }, CLOSE_REQUEST_MS);
  }

  /** Gives the thread up for others. Nothing is told from now on. Never rejects. */
  async close(): Promise<void> {
    this.#stopListening();
    await this.#try("thread/unsubscribe", { threadId: this.threadId }, CLOSE_REQUEST_MS);
  }

  /** What fails here fails since the server is going, hangs, or there is nothing to do. */
  async #try(
    method: "turn/interrupt" | "thread/backgroundTerminals/clean" | "thread/unsubscribe",
    params: { threadId: string; turnId?: string },
    timeoutMs: number,
  ): Promise<void> {
    if (this.#hung) return;
    try {
      await this.#lease.server.request(method, params, { timeoutMs });
    } catch (error) {
      if (!(error instanceof CodexError)) throw error;
      if (!(error instanceof RequestTimeoutError)) return;
      this.#hung = true;
      this.#lease.retire();
    }
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
    if (notification.method === "item/completed" && notification.params.item.type === "agentMessage")
      this.#messages.push(notification.params.item.text);
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
    } else if (status === "interrupted") this.#turn?.resolve({ kind: "interrupted" });
    else
      this.#turn?.resolve({
        kind: "failed",
        code: (error === null ? undefined : errorCode(error)) ?? "unknown",
        message: error?.message ?? "Codex does not say why",
      });
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
