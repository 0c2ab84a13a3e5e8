/** Discord's objects as its API shows them to the bot, which has no MESSAGE_CONTENT intent. */
import {
  DM,
  FORUM,
  isThread,
  type Channel,
  type Component,
  type Message,
  type Snowflake,
  type User,
  type World,
} from "./world.ts";

export function userView(user: User): Record<string, unknown> {
  return {
    id: user.id,
    username: user.username,
    discriminator: "0",
    global_name: user.username,
    avatar: null,
    bot: user.bot,
  };
}

/** As in payloads of interactions, where the permissions are those in the channel. */
export function memberView(user: User): Record<string, unknown> {
  return {
    user: userView(user),
    roles: user.roles,
    permissions: user.permissions,
    joined_at: "2024-01-01T00:00:00.000000+00:00",
    nick: null,
    avatar: null,
    premium_since: null,
    pending: false,
    deaf: false,
    mute: false,
    flags: 0,
  };
}

export function channelView(channel: Channel): Record<string, unknown> {
  const thread = isThread(channel)
    ? {
        thread_metadata: {
          archived: channel.archived,
          locked: channel.locked,
          auto_archive_duration: channel.autoArchiveMinutes,
          archive_timestamp: "2024-01-01T00:00:00.000000+00:00",
        },
        applied_tags: channel.appliedTags,
      }
    : {};
  return {
    id: channel.id,
    type: channel.type,
    name: channel.name,
    ...(channel.guildId === undefined ? {} : { guild_id: channel.guildId }),
    parent_id: channel.parentId ?? null,
    ...(channel.type === FORUM ? { available_tags: channel.availableTags } : {}),
    ...thread,
  };
}

/** As the bot gets it by REST: without what the intent would show. */
export function messageView(world: World, message: Message): Record<string, unknown> {
  const full = fullMessageView(world, message);
  return contentVisible(world, message)
    ? full
    : { ...full, content: "", embeds: [], components: [], attachments: [] };
}

/** As payloads of interactions carry it: a message that a user chose is told whole. */
export function fullMessageView(world: World, message: Message): Record<string, unknown> {
  const parent = message.replyTo === undefined ? undefined : world.messages.get(message.replyTo);
  return {
    id: message.id,
    type: message.replyTo === undefined ? 0 : 19,
    channel_id: message.channelId,
    author: userView(message.author),
    content: message.content,
    embeds: message.embeds,
    components: numbered(message.components),
    attachments: [],
    flags: message.flags,
    timestamp: new Date(message.createdAtMs).toISOString(),
    edited_timestamp: message.editedAtMs === undefined ? null : new Date(message.editedAtMs).toISOString(),
    tts: false,
    pinned: false,
    mention_everyone: message.rings.includes("everyone"),
    mentions: message.mentionsApp ? [userView(world.app)] : [],
    mention_roles: [],
    reactions: [...message.reactions].map(([name, users]) => ({
      emoji: { id: null, name },
      count: users.size,
      me: users.has(world.app.id),
    })),
    ...(message.nonce === undefined ? {} : { nonce: message.nonce }),
    ...(message.webhookId === undefined ? {} : { webhook_id: message.webhookId }),
    ...(parent === undefined
      ? {}
      : {
          message_reference: {
            channel_id: parent.channelId,
            message_id: parent.id,
            guild_id: world.guild.id,
          },
        }),
  };
}

/** Own messages, mentions, replies to the app's own, and direct messages. */
export function contentVisible(world: World, message: Message): boolean {
  const parent = message.replyTo === undefined ? undefined : world.messages.get(message.replyTo);
  return (
    (message.author.id === world.app.id && message.webhookId === undefined) ||
    message.mentionsApp ||
    (parent?.author.id === world.app.id && parent.interactionId === undefined) ||
    world.channels.get(message.channelId)?.type === DM
  );
}

/** Discord gives every component an `id`, and returns it. */
function numbered(components: Component[]): Component[] {
  let next = 0;
  const number = (component: Component): Component => {
    next += 1;
    const id = component["id"] ?? next;
    const nested = component["components"];
    return {
      ...component,
      id,
      ...(Array.isArray(nested) ? { components: (nested as Component[]).map(number) } : {}),
    };
  };
  return components.map(number);
}

export function idAfter(a: Snowflake, b: Snowflake): boolean {
  return BigInt(a) > BigInt(b);
}
