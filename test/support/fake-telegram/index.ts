/**
 * Telegram on loopback, for tests of whatever speaks to its Bot API and gets its updates by a webhook. It checks what
 * it gets, limits it, keeps it, and can misbehave. A test ends with `expect(fake.faults).toEqual([])`.
 *
 *   const fake = await FakeTelegram.start({ limits: NO_LIMITS });    // or part of the limits, a token, heldClock …
 *   fake.apiUrl, fake.token, fake.bot                                // what the Worker has to be told
 *   fake.alice, fake.chat (private), fake.group (forum)              // a world to begin with
 *   fake.addUser(name), fake.addChat(type, title, {…}), fake.setBot(chat, "kicked"), fake.migrate(chat)
 *   fake.requests, fake.faults, fake.limited, fake.deliveries        // what came, what was wrong, 429s, updates sent
 *   fake.messages(chat), fake.message(chat, id).history, fake.commands(), fake.callback(id).answers
 *   fake.misbehave({ method?, when?, times?, with: 502 | "reset" | "hang" | "done_then_hang" | {…} }), fake.behave()
 *   fake.advance(ms), await fake.waitFor((fake) => fake.messages(chat)[0])
 *
 *   fake.useWebhook(url, secret)                                     // as setWebhook would
 *   await fake.say(chat, user, "/run x", { topic?, replyTo? })       // an update of kind message; resolves when taken
 *   await fake.press(message, callbackData, user)                    // callback_query
 *   await fake.membership(chat, "kicked", user)                      // my_chat_member
 *   await fake.update(kind, value)                                   // any other; delivered until 2xx
 *   await fake.repeat(update)                                        // the same update_id again, once
 *   await fake.forge(kind, value, "wrong" | "none")                  // once, with another secret or without
 *   await fake.stop()
 */
import { NO_LIMITS, resolveOptions, type Options } from "./options.ts";
import type { Limited } from "./rate-limits.ts";
import { BotApi, type FaultOrder, type RequestRecord } from "./server.ts";
import { Webhook, type Delivery, type SecretChoice, type Update } from "./webhook.ts";
import {
  chatView,
  messageView,
  World,
  type CallbackQuery,
  type Chat,
  type MemberStatus,
  type Message,
  type ProtocolFault,
  type User,
} from "./world.ts";

export { NO_LIMITS };
export type { Chat, Delivery, Message, Options, ProtocolFault, RequestRecord, Update, User };

export class FakeTelegram {
  readonly #world: World;
  readonly #webhook: Webhook;
  readonly #api: BotApi;
  readonly #watchers = new Set<() => void>();
  readonly alice: User;
  /** Of alice with the bot. */
  readonly chat: Chat;
  /** With topics; the bot is an administrator, alice a member. */
  readonly group: Chat;

  private constructor(options: Options) {
    this.#world = new World(resolveOptions(options));
    this.#webhook = new Webhook(this.#world);
    this.#api = new BotApi(this.#world, this.#webhook, () => this.#changed());
    this.alice = this.#world.addUser("alice");
    this.chat = this.#world.addChat("private", "alice", { id: this.alice.id });
    this.group = this.#world.addChat("supergroup", "workshop", { isForum: true });
    this.group.members.set(this.alice.id, "member");
  }

  static async start(options: Options = {}): Promise<FakeTelegram> {
    const fake = new FakeTelegram(options);
    await fake.#api.listen(fake.#world.options.port);
    return fake;
  }

  /** Also lets go of every request that hangs, and of updates that nobody took. */
  async stop(): Promise<void> {
    this.#webhook.stop();
    this.#api.dropHanging();
    await this.#api.close();
  }

  /** In the place of `https://api.telegram.org`. */
  get apiUrl(): string {
    return this.#api.origin;
  }

  get token(): string {
    return this.#world.options.token;
  }

  get bot(): User {
    return this.#world.bot;
  }

  get requests(): readonly RequestRecord[] {
    return this.#api.requests;
  }

  get faults(): readonly ProtocolFault[] {
    return this.#world.faults;
  }

  /** Every 429 that the limits gave. */
  get limited(): readonly Limited[] {
    return this.#api.limits.given;
  }

  get deliveries(): readonly Delivery[] {
    return this.#webhook.deliveries;
  }

  get webhook(): { url: string | undefined; secret: string | undefined } {
    return { url: this.#webhook.url, secret: this.#webhook.secret };
  }

  /** Of the default scope. */
  commands(): unknown {
    return this.#world.commands.get(JSON.stringify([{ type: "default" }, ""]));
  }

  /** Oldest first, without deleted ones. */
  messages(chat: Chat): Message[] {
    return [...this.#world.messages.values()].filter((one) => one.chatId === chat.id && !one.deleted);
  }

  /** Also one that was deleted. */
  message(chat: Chat, id: number): Message {
    const message = this.#world.messages.get(`${chat.id} ${id}`);
    if (message === undefined) throw new Error(`there is no message ${id} in ${chat.id}`);
    return message;
  }

  callback(id: string): CallbackQuery {
    const query = this.#world.callbacks.get(id);
    if (query === undefined) throw new Error(`there is no callback query ${id}`);
    return query;
  }

  addUser(name: string): User {
    return this.#world.addUser(name);
  }

  addChat(type: Chat["type"], title: string, given: Partial<Chat> = {}): Chat {
    return this.#world.addChat(type, title, given);
  }

  setBot(chat: Chat, status: MemberStatus): void {
    chat.members.set(this.bot.id, status);
  }

  /** The group becomes a supergroup, whose id the old one's errors name. */
  migrate(chat: Chat): Chat {
    const supergroup = this.#world.addChat("supergroup", chat.title, { members: chat.members });
    chat.migratedTo = supergroup.id;
    return supergroup;
  }

  misbehave(order: FaultOrder): void {
    this.#api.misbehave(order);
  }

  /** Forgets orders that are left. */
  behave(): void {
    this.#api.behave();
  }

  /** Resets the connections that hang. */
  dropHanging(): void {
    this.#api.dropHanging();
  }

  /** Moves the fake's clock. */
  advance(ms: number): void {
    this.#world.advance(ms);
  }

  /** Resolves with the first that is neither undefined nor false; looks again after each change. */
  async waitFor<T>(look: (fake: this) => T | undefined | false): Promise<T> {
    return new Promise((resolve, reject) => {
      const again = (): void => {
        try {
          const found = look(this);
          if (found === undefined || found === false) return;
          this.#watchers.delete(again);
          resolve(found);
        } catch (error) {
          this.#watchers.delete(again);
          reject(error instanceof Error ? error : new Error(String(error)));
        }
      };
      this.#watchers.add(again);
      again();
    });
  }

  useWebhook(url: string, secret?: string, allowed?: string[]): void {
    this.#webhook.set({ url, secret_token: secret, allowed_updates: allowed });
  }

  async update(kind: string, value: unknown): Promise<Delivery | undefined> {
    const delivery = await this.#webhook.deliver(this.#webhook.number(kind, value));
    this.#changed();
    return delivery;
  }

  /** The same update again, as after an answer that was lost on its way. */
  async repeat(update: Update): Promise<Delivery> {
    return this.#webhook.send(update);
  }

  /** Somebody else's request: one that has to be refused. */
  async forge(kind: string, value: unknown, secret: SecretChoice): Promise<Delivery> {
    return this.#webhook.send(this.#webhook.number(kind, value), secret);
  }

  async say(
    chat: Chat,
    user: User,
    text: string,
    more: { topic?: number; replyTo?: Message } = {},
  ): Promise<Delivery | undefined> {
    const shown = { text, plain: text, keyboard: undefined };
    const message = this.#world.addMessage(chat, user, shown, {
      topic: more.topic,
      replyTo: more.replyTo?.id,
    });
    const command = /^\/\w+(@\w+)?/.exec(text);
    const entities = command === null ? [] : [{ type: "bot_command", offset: 0, length: command[0].length }];
    return this.update("message", {
      ...messageView(this.#world, message),
      ...(entities.length === 0 ? {} : { entities }),
    });
  }

  /** Throws when the message has no such button. `anyway`: although it has it no more. */
  async press(
    message: Message,
    data: string,
    user: User,
    anyway = false,
  ): Promise<{ id: string; delivery: Delivery | undefined }> {
    const { inline_keyboard: rows = [] } = (message.keyboard ?? {}) as {
      inline_keyboard?: Array<Array<{ callback_data?: string }>>;
    };
    if (!anyway && !rows.flat().some((button) => button.callback_data === data))
      throw new Error(`message ${message.id} has no button ${data}`);
    const id = String(this.#world.newId());
    this.#world.callbacks.set(id, { id, data, atMs: this.#world.nowMs(), answers: [] });
    const delivery = await this.update("callback_query", {
      id,
      from: user,
      message: messageView(this.#world, message),
      chat_instance: String(message.chatId),
      data,
    });
    return { id, delivery };
  }

  /** The bot's own status in a chat changes. */
  async membership(chat: Chat, status: MemberStatus, by: User): Promise<Delivery | undefined> {
    const before = chat.members.get(this.bot.id) ?? "left";
    this.setBot(chat, status);
    return this.update("my_chat_member", {
      chat: chatView(chat),
      from: by,
      date: Math.floor(this.#world.nowMs() / 1000),
      old_chat_member: { user: this.bot, status: before },
      new_chat_member: { user: this.bot, status },
    });
  }

  #changed(): void {
    for (const watcher of [...this.#watchers]) watcher();
  }
}
