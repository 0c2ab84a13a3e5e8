/** Routes of channels and threads, of the guild and of direct messages. */
import { refusal, invalidForm } from "./errors.ts";
import { checkMessage, post } from "./posting.ts";
import type { MessageBody } from "./message-rules.ts";
import type { Call, Reply, Route } from "./requests.ts";
import { channelView, memberView, messageView, userView } from "./views.ts";
import {
  DM,
  FORUM,
  PRIVATE_THREAD,
  PUBLIC_THREAD,
  TEXT,
  isThread,
  type Channel,
  type Right,
  type World,
} from "./world.ts";

interface ThreadBody {
  name: string;
  type?: number | null;
  auto_archive_duration?: number | null;
  applied_tags?: string[] | null;
  message?: MessageBody;
}

interface ChannelPatch {
  name?: string | null;
  archived?: boolean | null;
  locked?: boolean | null;
  applied_tags?: string[] | null;
  auto_archive_duration?: number | null;
}

const TAGS = 5;

/** The channel of a path, if the bot may do this there. */
export function channelOf(world: World, id: string | undefined, right: Right = "view"): Channel {
  const channel = world.channels.get(id ?? "");
  if (channel === undefined) throw refusal("unknownChannel");
  const parent = channel.parentId === undefined ? undefined : world.channels.get(channel.parentId);
  const denied = (one: Right): boolean => channel.denied.has(one) || parent?.denied.has(one) === true;
  if (denied("view")) throw refusal("missingAccess");
  if (denied(right)) throw refusal("missingPermissions");
  return channel;
}

export const channelRoutes: Route[] = [
  {
    on: "GET /channels/{channel_id}",
    auth: "bot",
    handle: ({ world, params }) => ({
      status: 200,
      body: {
        ...channelView(channelOf(world, params["channel_id"])),
        ...newestIn(world, params["channel_id"]),
      },
    }),
  },
  { on: "PATCH /channels/{channel_id}", auth: "bot", handle: patchChannel },
  { on: "POST /channels/{channel_id}/threads", auth: "bot", handle: createThread },
  {
    on: "POST /channels/{channel_id}/messages/{message_id}/threads",
    auth: "bot",
    handle: createThreadFromMessage,
  },
  {
    on: "POST /channels/{channel_id}/typing",
    auth: "bot",
    handle: ({ world, params }) => {
      channelOf(world, params["channel_id"], "send").typingAtMs.push(world.nowMs());
      return { status: 204 };
    },
  },
  {
    on: "GET /guilds/{guild_id}",
    auth: "bot",
    handle: ({ world, params }) => {
      inGuild(world, params);
      const { id, name, ownerId, roles } = world.guild;
      return { status: 200, body: { id, name, owner_id: ownerId, roles } };
    },
  },
  {
    on: "GET /guilds/{guild_id}/roles",
    auth: "bot",
    handle: ({ world, params }) => {
      inGuild(world, params);
      return { status: 200, body: world.guild.roles };
    },
  },
  {
    on: "GET /guilds/{guild_id}/members/{user_id}",
    auth: "bot",
    handle: ({ world, params }) => {
      inGuild(world, params);
      const user = world.users.get(params["user_id"] ?? "");
      if (user === undefined) throw refusal("unknownMember");
      const { permissions: _, ...member } = memberView(user);
      return { status: 200, body: member };
    },
  },
  { on: "POST /users/@me/channels", auth: "bot", handle: openDirectMessages },
  {
    on: "GET /users/@me",
    auth: "bot",
    handle: ({ world }) => ({ status: 200, body: userView(world.app) }),
  },
];

/** Of a forum, its newest post; of every other channel, its newest message. */
function newestIn(world: World, id: string | undefined): { last_message_id: string | null } {
  const posts = [...world.channels.values()].filter((one) => isThread(one) && one.parentId === id);
  const channel = world.channels.get(id ?? "");
  const newest = channel?.type === FORUM ? posts.at(-1) : world.messagesIn(id ?? "").at(-1);
  return { last_message_id: newest?.id ?? null };
}

export function inGuild(world: World, params: Record<string, string>): void {
  if (params["guild_id"] !== world.guild.id) throw refusal("unknownGuild");
}

function patchChannel({ world, params, body }: Call): Reply {
  const channel = channelOf(world, params["channel_id"], "manage");
  const patch = body as ChannelPatch;
  const { archived, locked, applied_tags: tags, name } = patch;
  if (
    isThread(channel) &&
    channel.archived &&
    archived !== false &&
    Object.keys(patch).some((key) => key !== "archived")
  )
    throw refusal("archived");
  checkTags(world, channel, tags);
  channel.archived = archived ?? channel.archived;
  channel.locked = locked ?? channel.locked;
  channel.appliedTags = tags ?? channel.appliedTags;
  channel.autoArchiveMinutes = patch.auto_archive_duration ?? channel.autoArchiveMinutes;
  if (typeof name === "string" && name !== channel.name) {
    channel.name = name;
    channel.names.push(name);
  }
  return { status: 200, body: channelView(channel) };
}

function createThread({ world, params, body, report }: Call): Reply {
  const parent = channelOf(world, params["channel_id"], "threads");
  const asked = body as ThreadBody;
  const common = {
    parentId: parent.id,
    autoArchiveMinutes: asked.auto_archive_duration ?? 1440,
  };
  if (parent.type === TEXT) {
    if (asked.message !== undefined)
      throw invalidForm([{ path: ["message"], message: "a thread of a text channel has no first message" }]);
    // Without a type Discord makes a private thread, which nobody else sees.
    const thread = world.addChannel(asked.type ?? PRIVATE_THREAD, asked.name, common);
    return { status: 201, body: channelView(thread) };
  }
  if (parent.type !== FORUM) throw refusal("notText");
  if (asked.message === undefined)
    throw invalidForm([{ path: ["message"], message: "This field is required", code: "BASE_TYPE_REQUIRED" }]);
  checkTags(world, { ...parent, parentId: parent.id }, asked.applied_tags);
  checkMessage(asked.message, { mayBeEphemeral: false, existing: undefined }, report, ["message"]);
  const thread = world.addChannel(PUBLIC_THREAD, asked.name, {
    ...common,
    appliedTags: asked.applied_tags ?? [],
  });
  // The first message of a post has the post's id, as the thread made from a message has the message's.
  const message = post(world, thread.id, asked.message, { id: thread.id });
  return { status: 201, body: { ...channelView(thread), message: messageView(world, message) } };
}

function createThreadFromMessage({ world, params, body }: Call): Reply {
  const parent = channelOf(world, params["channel_id"], "threads");
  const message = world.messages.get(params["message_id"] ?? "");
  if (message === undefined || message.deleted || message.channelId !== parent.id)
    throw refusal("unknownMessage");
  if (world.channels.has(message.id)) throw refusal("threadExists");
  const asked = body as ThreadBody;
  const thread = world.addChannel(PUBLIC_THREAD, asked.name, { id: message.id, parentId: parent.id });
  return { status: 201, body: channelView(thread) };
}

function openDirectMessages({ world, body }: Call): Reply {
  const { recipient_id: recipient } = body as { recipient_id?: string };
  const user = world.users.get(recipient ?? "");
  if (user === undefined) throw invalidForm([{ path: ["recipient_id"], message: "no such user" }]);
  const known = [...world.channels.values()].find((one) => one.type === DM && one.name === user.id);
  return { status: 200, body: channelView(known ?? world.addChannel(DM, user.id)) };
}

function checkTags(world: World, channel: Channel, tags: string[] | null | undefined): void {
  const forum = world.channels.get(channel.parentId ?? "");
  const places = (tags ?? []).flatMap((tag, index) =>
    forum?.availableTags.some(({ id }) => id === tag) === true
      ? []
      : [{ path: ["applied_tags", String(index)], message: "Unknown tag" }],
  );
  if ((tags ?? []).length > TAGS) places.push({ path: ["applied_tags"], message: `at most ${TAGS}` });
  if (places.length > 0) throw invalidForm(places);
}
