/**
 * Discord on loopback, for tests of whatever speaks to it by REST and gets its interactions by HTTP. It checks what it
 * gets, limits it, keeps it, and can misbehave. A test ends with `expect(fake.faults).toEqual([])`.
 *
 *   const fake = await FakeDiscord.start({ limits: NO_LIMITS });     // or part of the limits, a race, a seed, heldClock …
 *   fake.apiUrl, fake.publicKey, fake.botToken, fake.app.id          // what the Worker has to be told
 *   fake.guild, fake.text, fake.forum, fake.alice                    // a world to begin with
 *   fake.addUser({ roles, permissions }), addRole(name), addChannel(TEXT | FORUM | DM, name), addWebhook(channel),
 *   fake.deny(channel, "view" | "send" | "threads" | "manage"), fake.deleteChannel(channel)
 *   fake.requests, fake.faults, fake.limited, fake.invalidRequests   // what came, what was wrong, which 429s it got
 *   fake.messages(channelId, seenBy?), fake.message(id)              // .history: every edit in order; .rings; .reactions
 *   fake.channel(id), fake.threads(parentId), fake.commands(guildId?), fake.endpointUrl
 *   fake.say(channel, user, text, { mentionsApp?, replyTo? })        // a person writes
 *   fake.misbehave({ route?, when?, times?, with: 503 | "reset" | "hang" | "done_then_hang" | "blocked" | … })
 *   fake.behave(), fake.dropHanging(), fake.revokeToken()
 *   fake.ageMessage(id, ms), fake.advance(ms)                        // with heldClock: true nothing else moves the clock
 *   await fake.waitFor((fake) => fake.messages(id)[0])               // resolves with the first that is defined
 *
 *   const shown = await fake.interact(url, fake.command("run start", { prompt: "x" }, { by: fake.alice }));
 *   fake.button(message, customId), fake.select(message, customId, values), fake.modalSubmit(shown.modal, values),
 *   fake.autocomplete(name, options, focused), fake.messageCommand(name, message)
 *   fake.interact(url, payload, { spoil: "forged", staleMs, delayMs, through }), fake.replay(shown), fake.resign(shown)
 *   await fake.ask(url, payload)                                      // the same, and what follows a deferral
 *   await fake.verifyEndpoint(url)                                    // PING and a bad signature; what is wrong, if anything
 *   await fake.stop()
 */
import { applicationRoutes } from "./application-routes.ts";
import { channelRoutes } from "./channel-routes.ts";
import type { FaultOrder, ProtocolFault } from "./faults.ts";
import type { Modal } from "./interaction-answers.ts";
import { Interactions, type InteractOptions, type Interacted } from "./interactions.ts";
import { messageRoutes } from "./message-routes.ts";
import { NO_LIMITS, resolveOptions, type Options } from "./options.ts";
import {
  commandPayload,
  componentPayload,
  messageCommandPayload,
  modalPayload,
  type InteractionPayload,
  type OptionValue,
  type Where,
} from "./payloads.ts";
import type { Limited } from "./rate-limits.ts";
import type { RequestRecord } from "./requests.ts";
import { Rest } from "./server.ts";
import { Signer } from "./signer.ts";
import { webhookRoutes } from "./webhook-routes.ts";
import {
  DM,
  FORUM,
  isThread,
  PUBLIC_THREAD,
  TEXT,
  World,
  type Channel,
  type Guild,
  type Message,
  type Right,
  type Role,
  type User,
  type Webhook,
} from "./world.ts";

export { DM, FORUM, NO_LIMITS, PUBLIC_THREAD, TEXT };
export type { Channel, InteractionPayload, Interacted, Message, Options, ProtocolFault, RequestRecord, User };

export class FakeDiscord {
  readonly #world: World;
  readonly #rest: Rest;
  readonly #interactions: Interactions;
  readonly #watchers = new Set<() => void>();
  readonly text: Channel;
  readonly forum: Channel;
  /** A user without roles. */
  readonly alice: User;

  private constructor(options: Options) {
    const signer = new Signer(options.seed);
    this.#world = new World(resolveOptions(options), signer.publicKey);
    this.#interactions = new Interactions(this.#world, signer);
    const routes = [
      ...channelRoutes,
      ...messageRoutes,
      ...webhookRoutes,
      ...applicationRoutes((url) => this.verifyEndpoint(url)),
    ];
    this.#rest = new Rest(this.#world, routes, () => this.#changed());
    this.text = this.#world.addChannel(TEXT, "general");
    const tags = ["running", "done"].map((name) => ({ id: this.#world.newId(), name }));
    this.forum = this.#world.addChannel(FORUM, "runs", { availableTags: tags });
    this.alice = this.#world.addUser({ username: "alice" });
  }

  static async start(options: Options = {}): Promise<FakeDiscord> {
    const fake = new FakeDiscord(options);
    await fake.#rest.listen(fake.#world.options.port);
    return fake;
  }

  /** Also lets go of every request that hangs. */
  async stop(): Promise<void> {
    this.#rest.dropHanging();
    await this.#rest.close();
  }

  /** In the place of `https://discord.com/api/v10`. */
  get apiUrl(): string {
    return `${this.#rest.origin}/api/v10`;
  }

  /** Hex. */
  get publicKey(): string {
    return this.#world.publicKey;
  }

  get botToken(): string {
    return this.#world.options.botToken;
  }

  get app(): User {
    return this.#world.app;
  }

  get guild(): Guild {
    return this.#world.guild;
  }

  /** Registered commands; `guildId` absent: the global ones. */
  commands(guildId = ""): Array<Record<string, unknown>> {
    return this.#world.commands.get(guildId) ?? [];
  }

  /** As PATCH /applications/@me set it. */
  get endpointUrl(): string | undefined {
    return (this.#world.application["interactions_endpoint_url"] ?? undefined) as string | undefined;
  }

  /** Whether anybody may add the bot to a server of his own: what its owner sets in the developer portal. */
  setPublic(isPublic: boolean): void {
    this.#world.application = { ...this.#world.application, bot_public: isPublic };
  }

  get requests(): readonly RequestRecord[] {
    return this.#rest.requests;
  }

  get faults(): readonly ProtocolFault[] {
    return this.#world.faults;
  }

  /** Every 429 that the limits gave; `hidden` are those that no header told of. */
  get limited(): readonly Limited[] {
    return this.#rest.limits.given;
  }

  /** 401, 403 and 429 that were not `shared`, in the last ten minutes. */
  get invalidRequests(): number {
    return this.#rest.limits.invalid(this.#world.nowMs());
  }

  channel(id: string): Channel {
    const channel = this.#world.channels.get(id);
    if (channel === undefined) throw new Error(`there is no channel ${id}`);
    return channel;
  }

  /** Threads and posts of a channel, oldest first. */
  threads(parentId: string): Channel[] {
    return [...this.#world.channels.values()].filter((one) => isThread(one) && one.parentId === parentId);
  }

  /** Also one that was deleted. */
  message(id: string): Message {
    const message = this.#world.messages.get(id);
    if (message === undefined) throw new Error(`there is no message ${id}`);
    return message;
  }

  /** Oldest first, without deleted ones; those for one user only when `seenBy` is that user. */
  messages(channelId: string, seenBy?: User): Message[] {
    return this.#world
      .messagesIn(channelId)
      .filter((one) => one.ephemeralFor === undefined || one.ephemeralFor === seenBy?.id);
  }

  addUser(given: Partial<User> = {}): User {
    return this.#world.addUser(given);
  }

  addRole(name: string, permissions?: string): Role {
    return this.#world.addRole(name, permissions);
  }

  addChannel(type: number, name: string, given: Partial<Channel> = {}): Channel {
    return this.#world.addChannel(type, name, given);
  }

  addWebhook(channel: Channel, name = "notifier"): Webhook {
    return this.#world.addWebhook(channel.id, name);
  }

  /** Takes a right from the bot, in the channel and in its threads. */
  deny(channel: Channel, right: Right): void {
    channel.denied.add(right);
  }

  deleteChannel(channel: Channel): void {
    this.#world.channels.delete(channel.id);
  }

  /** A person writes. What the bot may read of it follows the rules without the MESSAGE_CONTENT intent. */
  say(
    channel: Channel,
    user: User,
    text: string,
    more: { mentionsApp?: boolean; replyTo?: Message } = {},
  ): Message {
    const mentionsApp = more.mentionsApp ?? text.includes(`<@${this.app.id}>`);
    const content = mentionsApp && !text.includes(this.app.id) ? `<@${this.app.id}> ${text}` : text;
    const message = this.#world.addMessage(
      channel.id,
      user,
      { content },
      { mentionsApp, replyTo: more.replyTo?.id },
    );
    this.#changed();
    return message;
  }

  misbehave(order: FaultOrder): void {
    this.#rest.orders.add(order);
  }

  /** Forgets orders that are left. */
  behave(): void {
    this.#rest.orders.clear();
  }

  /** Resets the connections that hang. */
  dropHanging(): void {
    this.#rest.dropHanging();
  }

  /** The bot's token is worth nothing any more: 401 to all. */
  revokeToken(): void {
    this.#world.tokenRevoked = true;
  }

  /** Makes a message older than it is. */
  ageMessage(id: string, ms: number): void {
    this.message(id).createdAtMs -= ms;
  }

  /** Moves the fake's clock: limits, the life of tokens, ids. */
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

  /** Signs it, sends it, and shows what the endpoint answers. */
  async interact(url: string, payload: InteractionPayload, options?: InteractOptions): Promise<Interacted> {
    const interacted = await this.#interactions.interact(url, payload, options);
    this.#changed();
    return interacted;
  }

  /** The same, to the end: after a deferral, `text` is what has taken its place. */
  async ask(url: string, payload: InteractionPayload, options?: InteractOptions): Promise<Interacted> {
    const interacted = await this.interact(url, payload, options);
    const { what, message } = interacted;
    if (what !== "thinking" || message === undefined) return interacted;
    await this.waitFor(() => message.editedAtMs !== undefined);
    return { ...interacted, what: "message", text: JSON.stringify(message.history.at(-1)) };
  }

  async replay(interacted: Interacted): Promise<{ status: number | undefined; text: string }> {
    return this.#interactions.replay(interacted);
  }

  async resign(interacted: Interacted): Promise<{ status: number | undefined; text: string }> {
    return this.#interactions.resign(interacted);
  }

  /** Undefined when the URL answers as Discord wants it. */
  async verifyEndpoint(url: string): Promise<string | undefined> {
    return this.#interactions.verifyEndpoint(url);
  }

  /** `name` with its subcommands, as `run start`. */
  command(
    name: string,
    options: Record<string, OptionValue> = {},
    where: Partial<Where> = {},
  ): InteractionPayload {
    return commandPayload(this.#world, name, options, this.#where(where));
  }

  autocomplete(
    name: string,
    options: Record<string, OptionValue>,
    focused: string,
    where: Partial<Where> = {},
  ): InteractionPayload {
    return commandPayload(this.#world, name, options, this.#where(where), focused);
  }

  messageCommand(name: string, message: Message, where: Partial<Where> = {}): InteractionPayload {
    return messageCommandPayload(this.#world, name, message, this.#whereOf(message, where));
  }

  /** `anyway`: although the message has no such button any more. */
  button(
    message: Message,
    customId: string,
    where: Partial<Where> & { anyway?: boolean } = {},
  ): InteractionPayload {
    const anyway = where.anyway ?? false;
    return componentPayload(this.#world, message, customId, undefined, this.#whereOf(message, where), anyway);
  }

  select(
    message: Message,
    customId: string,
    values: string[],
    where: Partial<Where> & { anyway?: boolean } = {},
  ): InteractionPayload {
    const anyway = where.anyway ?? false;
    return componentPayload(this.#world, message, customId, values, this.#whereOf(message, where), anyway);
  }

  /** Values by custom_id; those of the form stand for what is left out. `anyway`: without the form's own limits. */
  modalSubmit(
    modal: Modal | undefined,
    values: Record<string, string | string[]>,
    where: Partial<Where> & { anyway?: boolean } = {},
  ): InteractionPayload {
    if (modal === undefined) throw new Error("no modal is open");
    return modalPayload(this.#world, modal, values, this.#where(where), where.anyway ?? false);
  }

  #where({ by, in: channel, ...more }: Partial<Where>): Where {
    return { ...more, by: by ?? this.alice, in: channel ?? this.text };
  }

  #whereOf(message: Message, where: Partial<Where>): Where {
    return this.#where({ in: this.channel(message.channelId), ...where });
  }

  #changed(): void {
    for (const watcher of [...this.#watchers]) watcher();
  }
}
