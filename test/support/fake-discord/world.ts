/**
 * What Discord knows: users, a guild, channels, messages with their whole history. It owns the clock, which a test may
 * move, and the ids, which grow with it. It decides nothing about who may do what; routes and interactions do.
 */
import { randomBytes } from "node:crypto";
import type { ProtocolFault } from "./faults.ts";
import type { ResolvedOptions } from "./options.ts";
import type { InteractionRecord } from "./interaction-records.ts";

export type Snowflake = string;

/** Discord's time begins with 2015. */
const EPOCH_MS = 1_420_070_400_000;
const COUNTER_BITS = 22n;

export const TEXT = 0;
export const DM = 1;
export const PUBLIC_THREAD = 11;
export const PRIVATE_THREAD = 12;
export const FORUM = 15;
export const ANNOUNCEMENT_THREAD = 10;

export const EPHEMERAL = 1 << 6;
export const LOADING = 1 << 7;
export const SUPPRESS_NOTIFICATIONS = 1 << 12;
export const COMPONENTS_V2 = 1 << 15;

export type Component = Record<string, unknown> & { type: number };

/** What a message shows; an edit replaces it field by field. */
export interface Content {
  content: string;
  embeds: Array<Record<string, unknown>>;
  components: Component[];
  flags: number;
}

export interface User {
  id: Snowflake;
  username: string;
  bot: boolean;
  /** Of the guild. */
  roles: Snowflake[];
  /** Bitset in decimals, as payloads carry it. */
  permissions: string;
}

export interface Role {
  id: Snowflake;
  name: string;
  permissions: string;
}

export interface Guild {
  id: Snowflake;
  name: string;
  /** Who made it; none of the people at first. */
  ownerId: Snowflake;
  roles: Role[];
}

/** What the bot may be denied in a channel. */
export type Right = "view" | "send" | "threads" | "manage";

export interface Channel {
  id: Snowflake;
  type: number;
  name: string;
  guildId: Snowflake | undefined;
  /** Of a thread. */
  parentId: Snowflake | undefined;
  /** Of a forum. */
  availableTags: Array<{ id: Snowflake; name: string }>;
  /** Of a forum post. */
  appliedTags: Snowflake[];
  archived: boolean;
  locked: boolean;
  autoArchiveMinutes: number;
  denied: Set<Right>;
  /** When the bot was typing, by the fake's clock. */
  typingAtMs: number[];
  /** Every name it had, the present one last. */
  names: string[];
}

export interface Message extends Content {
  id: Snowflake;
  channelId: Snowflake;
  author: User;
  createdAtMs: number;
  editedAtMs: number | undefined;
  /** What it showed, first to last; the last is what it shows now. */
  history: Content[];
  /** Whom it rang when it was created, as `user:1`, `role:2`, `everyone`. Edits ring nobody. */
  rings: string[];
  nonce: string | undefined;
  replyTo: Snowflake | undefined;
  /** Of a user's message. */
  mentionsApp: boolean;
  /** Only this user sees it. */
  ephemeralFor: Snowflake | undefined;
  /** By emoji, who reacted. */
  reactions: Map<string, Set<Snowflake>>;
  /** Id of the interaction that it answers. */
  interactionId: Snowflake | undefined;
  webhookId: Snowflake | undefined;
  deleted: boolean;
}

export interface Webhook {
  id: Snowflake;
  token: string;
  channelId: Snowflake;
  name: string;
  deleted: boolean;
}

export class World {
  readonly options: ResolvedOptions;
  readonly faults: ProtocolFault[] = [];
  readonly app: User;
  readonly guild: Guild;
  readonly users = new Map<Snowflake, User>();
  readonly channels = new Map<Snowflake, Channel>();
  readonly messages = new Map<Snowflake, Message>();
  readonly webhooks = new Map<Snowflake, Webhook>();
  /** By token. */
  readonly interactions = new Map<string, InteractionRecord>();
  /** Registered commands: global ones under `""`, others under the guild's id. */
  readonly commands = new Map<Snowflake, Array<Record<string, unknown>>>();
  /** By scope: how many new names were registered. */
  readonly commandCreates = new Map<Snowflake, number>();
  /** Hex. */
  readonly publicKey: string;
  application: Record<string, unknown> = {};
  /** The bot's token does not count any more. */
  tokenRevoked = false;
  readonly #startedAtMs = Date.now();
  #aheadMs = 0;
  #counter = 0n;

  constructor(options: ResolvedOptions, publicKey: string) {
    this.options = options;
    this.publicKey = publicKey;
    this.app = this.addUser({ username: "codex", bot: true });
    this.guild = { id: this.newId(), name: "workshop", ownerId: this.newId(), roles: [] };
    this.guild.roles.push({ id: this.guild.id, name: "@everyone", permissions: "0" });
  }

  nowMs(): number {
    return (this.options.heldClock ? this.#startedAtMs : Date.now()) + this.#aheadMs;
  }

  advance(ms: number): void {
    this.#aheadMs += ms;
  }

  newId(): Snowflake {
    this.#counter += 1n;
    return String((BigInt(this.nowMs() - EPOCH_MS) << COUNTER_BITS) + this.#counter);
  }

  addUser(given: Partial<User> = {}): User {
    const user = {
      id: this.newId(),
      username: "somebody",
      bot: false,
      roles: [],
      permissions: "0",
      ...given,
    };
    this.users.set(user.id, user);
    return user;
  }

  addRole(name: string, permissions = "0"): Role {
    const role = { id: this.newId(), name, permissions };
    this.guild.roles.push(role);
    return role;
  }

  addChannel(type: number, name: string, given: Partial<Channel> = {}): Channel {
    const channel = {
      id: this.newId(),
      type,
      name,
      guildId: type === DM ? undefined : this.guild.id,
      parentId: undefined,
      availableTags: [],
      appliedTags: [],
      archived: false,
      locked: false,
      autoArchiveMinutes: 1440,
      denied: new Set<Right>(),
      typingAtMs: [],
      names: [name],
      ...given,
    };
    this.channels.set(channel.id, channel);
    return channel;
  }

  addWebhook(channelId: Snowflake, name: string): Webhook {
    const token = randomBytes(24).toString("base64url");
    const webhook = { id: this.newId(), token, channelId, name, deleted: false };
    this.webhooks.set(webhook.id, webhook);
    return webhook;
  }

  addMessage(
    channelId: Snowflake,
    author: User,
    shown: Partial<Content>,
    more: Partial<Message> = {},
  ): Message {
    const content: Content = { content: "", embeds: [], components: [], flags: 0, ...shown };
    const message: Message = {
      id: this.newId(),
      channelId,
      author,
      createdAtMs: this.nowMs(),
      editedAtMs: undefined,
      history: [structuredClone(content)],
      rings: [],
      nonce: undefined,
      replyTo: undefined,
      mentionsApp: false,
      ephemeralFor: undefined,
      reactions: new Map(),
      interactionId: undefined,
      webhookId: undefined,
      deleted: false,
      ...content,
      ...more,
    };
    this.messages.set(message.id, message);
    return message;
  }

  editMessage(message: Message, shown: Partial<Content>): void {
    Object.assign(message, shown);
    message.editedAtMs = this.nowMs();
    const { content, embeds, components, flags } = message;
    message.history.push(structuredClone({ content, embeds, components, flags }));
  }

  /** Oldest first, without deleted ones. Ephemeral ones too: whoever lists for the API leaves them out. */
  messagesIn(channelId: Snowflake): Message[] {
    return [...this.messages.values()].filter((one) => one.channelId === channelId && !one.deleted);
  }

  /** Records a fault of the client's. */
  report(fault: ProtocolFault): void {
    this.faults.push(fault);
  }
}

export function isThread(channel: Channel): boolean {
  return [ANNOUNCEMENT_THREAD, PUBLIC_THREAD, PRIVATE_THREAD].includes(channel.type);
}
