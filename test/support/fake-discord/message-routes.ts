/** Routes of messages and reactions, by the bot's token. */
import { channelOf } from "./channel-routes.ts";
import { invalidForm, refusal } from "./errors.ts";
import type { MessageBody } from "./message-rules.ts";
import { checkMessage, edit, post } from "./posting.ts";
import type { Call, Reply, Route } from "./requests.ts";
import { idAfter, messageView, userView } from "./views.ts";
import { FORUM, isThread, type Channel, type Message, type Right, type World } from "./world.ts";

const PAGE = { least: 1, most: 100, usual: 50 };
const EMOJI = /^(\p{Extended_Pictographic}|\p{Regional_Indicator}|[0-9#*]\u{FE0F}?\u{20E3})/u;

export const messageRoutes: Route[] = [
  { on: "POST /channels/{channel_id}/messages", auth: "bot", handle: createMessage },
  { on: "GET /channels/{channel_id}/messages", auth: "bot", handle: listMessages },
  {
    on: "GET /channels/{channel_id}/messages/{message_id}",
    auth: "bot",
    handle: ({ world, params }) => ({
      status: 200,
      body: messageView(world, messageOf(world, params).message),
    }),
  },
  { on: "PATCH /channels/{channel_id}/messages/{message_id}", auth: "bot", handle: editMessage },
  {
    on: "DELETE /channels/{channel_id}/messages/{message_id}",
    auth: "bot",
    handle: ({ world, params }) => {
      const { message } = messageOf(world, params);
      if (message.author.id !== world.app.id) channelOf(world, params["channel_id"], "manage");
      message.deleted = true;
      return { status: 204 };
    },
  },
  {
    on: "PUT /channels/{channel_id}/messages/{message_id}/reactions/{emoji_name}/@me",
    auth: "bot",
    handle: ({ world, params }) => {
      const { message, channel } = messageOf(world, params);
      const emoji = emojiOf(params);
      if (channel.archived) throw refusal("archived");
      message.reactions.set(emoji, (message.reactions.get(emoji) ?? new Set()).add(world.app.id));
      return { status: 204 };
    },
  },
  {
    on: "DELETE /channels/{channel_id}/messages/{message_id}/reactions/{emoji_name}/@me",
    auth: "bot",
    handle: ({ world, params }) => {
      const { message } = messageOf(world, params);
      message.reactions.get(emojiOf(params))?.delete(world.app.id);
      return { status: 204 };
    },
  },
  {
    on: "GET /channels/{channel_id}/messages/{message_id}/reactions/{emoji_name}",
    auth: "bot",
    handle: ({ world, params }) => {
      const { message } = messageOf(world, params);
      const users = [...(message.reactions.get(emojiOf(params)) ?? [])];
      return {
        status: 200,
        body: users.flatMap((id) => {
          const user = world.users.get(id);
          return user === undefined ? [] : [userView(user)];
        }),
      };
    },
  },
];

function createMessage({ world, params, body, report }: Call): Reply {
  const channel = channelOf(world, params["channel_id"], "send");
  if (channel.type === FORUM) throw refusal("notText");
  const asked = body as MessageBody;
  checkMessage(asked, { mayBeEphemeral: false, existing: undefined }, report);
  const nonce = asked.nonce ?? undefined;
  const enforced = asked.enforce_nonce === true;
  if (world.options.requireNonce && (nonce === undefined || !enforced))
    report(
      "nonce_missing",
      "a message without nonce and enforce_nonce is posted twice when its answer is lost",
    );
  const earlier =
    enforced && nonce !== undefined
      ? world
          .messagesIn(channel.id)
          .find(
            (one) =>
              one.nonce === String(nonce) &&
              one.author.id === world.app.id &&
              world.nowMs() - one.createdAtMs < world.options.nonceLifeMs,
          )
      : undefined;
  if (earlier !== undefined) return { status: 200, body: messageView(world, earlier) };
  const replyTo = asked.message_reference?.message_id;
  if (replyTo !== undefined && world.messages.get(replyTo)?.channelId !== channel.id)
    throw invalidForm([{ path: ["message_reference"], message: "Unknown message" }]);
  if (isThread(channel)) {
    if (channel.archived && channel.locked) channelOf(world, channel.id, "manage");
    // Whoever writes into an archived thread opens it.
    channel.archived = false;
  }
  return { status: 200, body: messageView(world, post(world, channel.id, asked)) };
}

function editMessage({ world, params, body, report }: Call): Reply {
  const { message, channel } = messageOf(world, params);
  if (message.author.id !== world.app.id || message.webhookId !== undefined) throw refusal("othersMessage");
  if (channel.archived) throw refusal("archived");
  edit(world, message, body as MessageBody, report);
  return { status: 200, body: messageView(world, message) };
}

function listMessages({ world, params, query }: Call): Reply {
  const channel = channelOf(world, params["channel_id"]);
  const limit = Number(query.get("limit") ?? PAGE.usual);
  if (!Number.isInteger(limit) || limit < PAGE.least || limit > PAGE.most)
    throw invalidForm([
      { path: ["limit"], message: `int value should be between ${PAGE.least} and ${PAGE.most}.` },
    ]);
  const bounds = ["after", "before"].flatMap((name) => {
    const id = query.get(name);
    if (id !== null && !/^\d+$/.test(id))
      throw invalidForm([{ path: [name], message: `Value "${id}" is not snowflake.` }]);
    return id === null ? [] : [{ name, id }];
  });
  const fitting = world
    .messagesIn(channel.id)
    .filter((one) => one.ephemeralFor === undefined)
    .filter((one) =>
      bounds.every(({ name, id }) => (name === "after" ? idAfter(one.id, id) : idAfter(id, one.id))),
    );
  // With `after` the page begins at the oldest of them; whichever page it is, it stands newest first.
  const page = bounds.some(({ name }) => name === "after") ? fitting.slice(0, limit) : fitting.slice(-limit);
  return { status: 200, body: page.reverse().map((one) => messageView(world, one)) };
}

function messageOf(
  world: World,
  params: Record<string, string>,
  right: Right = "view",
): { message: Message; channel: Channel } {
  const channel = channelOf(world, params["channel_id"], right);
  const message = world.messages.get(params["message_id"] ?? "");
  const visible = message !== undefined && !message.deleted && message.ephemeralFor === undefined;
  if (!visible || message.channelId !== channel.id) throw refusal("unknownMessage");
  return { message, channel };
}

/** As in the path: a character, or `name:id` for one of the guild's own. */
function emojiOf(params: Record<string, string>): string {
  const name = params["emoji_name"] ?? "";
  if (!EMOJI.test(name) && !/^\w+:\d+$/.test(name)) throw refusal("unknownEmoji");
  return name;
}
