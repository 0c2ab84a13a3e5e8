/**
 * Who somebody is in a Discord server, asked of Discord: messages that are read bear no member, unlike interactions. From the
 * answers everything is known that an interaction says of who acts: his roles there, his name, and whether he is an administrator
 * (the owner, or whoever has a role with that permission, the one of everybody counted).
 *
 * What concerns one member is asked for at every call: a role may be taken from somebody at any moment. What a guild is, who owns
 * it and which of its roles are an administrator's, is kept for a few minutes.
 */
import { isAdministrator } from "../../../contract/chat/discord-permissions.ts";
import type { ChatUser } from "../../../contract/chat/place.ts";
import type { PlatformAnswer } from "../delivery/platform.ts";

const KEPT_MS = 300_000;
const NOT_FOUND = 404;

/** As an interaction says it (contract: chat-access, Attempt). */
export interface Standing {
  guild: string;
  user: ChatUser;
  roles: string[];
  administrator: boolean;
}

/** Undefined: there is no room for a request now, or nothing came back. */
export type Ask = (path: string, route: string, major: string) => Promise<PlatformAnswer | undefined>;

interface Member {
  roles: string[];
  nick?: string;
}

/** Who is an administrator. */
interface Guild {
  owner: string;
  /** Roles with that permission. */
  roles: ReadonlySet<string>;
}

export class Members {
  readonly #ask: Ask;
  readonly #guildOf = new Map<string, string>();
  readonly #guilds = new Map<string, { value: Guild; at: number }>();

  constructor(ask: Ask) {
    this.#ask = ask;
  }

  /** Undefined when it cannot be found out now. */
  async standingOf(channel: string, user: ChatUser, now: number): Promise<Standing | undefined> {
    const id = await this.#guildIdOf(channel);
    const guild = id === undefined ? undefined : await this.#guild(id, now);
    const member = id === undefined ? undefined : await this.#member(id, user.id);
    if (id === undefined || guild === undefined || member === undefined) return undefined;
    const { roles, nick } = member;
    return {
      guild: id,
      user: nick === undefined ? user : { ...user, name: nick },
      roles,
      // Everybody has the role that has the guild's id.
      administrator: guild.owner === user.id || [id, ...roles].some((role) => guild.roles.has(role)),
    };
  }

  async #guildIdOf(channel: string): Promise<string | undefined> {
    const known = this.#guildOf.get(channel);
    if (known !== undefined) return known;
    const { guild_id: id } = fieldsOf(
      (await this.#ask(`/channels/${channel}`, "GET channel", channel))?.body,
    );
    if (typeof id !== "string") return undefined;
    this.#guildOf.set(channel, id);
    return id;
  }

  async #guild(id: string, now: number): Promise<Guild | undefined> {
    const known = this.#guilds.get(id);
    if (known !== undefined && now - known.at < KEPT_MS) return known.value;
    const answer = await this.#ask(`/guilds/${id}`, "GET guild", id);
    if (answer?.status !== 200) return undefined;
    const { owner_id: owner, roles } = fieldsOf(answer.body);
    const administrators = (Array.isArray(roles) ? roles : []).map(fieldsOf).flatMap((role) => {
      const { id: roleId, permissions } = role;
      const counts = typeof permissions === "string" && isAdministrator(permissions);
      return counts && typeof roleId === "string" ? [roleId] : [];
    });
    const value = { owner: typeof owner === "string" ? owner : "", roles: new Set(administrators) };
    this.#guilds.set(id, { value, at: now });
    return value;
  }

  /** Somebody who is none (any more) has no roles. */
  async #member(guild: string, user: string): Promise<Member | undefined> {
    const answer = await this.#ask(`/guilds/${guild}/members/${user}`, "GET member", guild);
    if (answer === undefined || (answer.status !== 200 && answer.status !== NOT_FOUND)) return undefined;
    const { roles, nick } = fieldsOf(answer.body);
    return {
      roles: Array.isArray(roles) ? roles.filter((role): role is string => typeof role === "string") : [],
      ...(typeof nick === "string" ? { nick } : {}),
    };
  }
}

function fieldsOf(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}
