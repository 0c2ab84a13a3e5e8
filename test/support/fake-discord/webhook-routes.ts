/**
 * Routes whose path carries a token: follow-ups to an interaction (the application's id stands in the place of a
 * webhook's), and webhooks of a channel.
 */
import { channelOf } from "./channel-routes.ts";
import { invalidForm, refusal } from "./errors.ts";
import { liveInteraction, type InteractionRecord } from "./interaction-records.ts";
import type { MessageBody } from "./message-rules.ts";
import { checkMessage, edit, post } from "./posting.ts";
import type { Call, Reply, Route } from "./requests.ts";
import { messageView } from "./views.ts";
import { EPHEMERAL, FORUM, PUBLIC_THREAD, type Message, type Webhook, type World } from "./world.ts";

const ONE = "/webhooks/{webhook_id}/{webhook_token}";

export const webhookRoutes: Route[] = [
  { on: `POST ${ONE}`, auth: "token", handle: createByToken },
  {
    on: `GET ${ONE}`,
    auth: "token",
    handle: ({ world, params }) => ({ status: 200, body: webhookView(world, webhookOf(world, params)) }),
  },
  {
    on: `DELETE ${ONE}`,
    auth: "token",
    handle: ({ world, params }) => {
      webhookOf(world, params).deleted = true;
      return { status: 204 };
    },
  },
  ...["@original", "{message_id}"].flatMap((which): Route[] => [
    {
      on: `GET ${ONE}/messages/${which}`,
      auth: "token",
      handle: ({ world, params }) => ({
        status: 200,
        body: messageView(world, messageByToken(world, params)),
      }),
    },
    { on: `PATCH ${ONE}/messages/${which}`, auth: "token", handle: editByToken },
    {
      on: `DELETE ${ONE}/messages/${which}`,
      auth: "token",
      handle: ({ world, params }) => {
        messageByToken(world, params).deleted = true;
        return { status: 204 };
      },
    },
  ]),
  {
    on: "POST /interactions/{interaction_id}/{interaction_token}/callback",
    auth: "token",
    handle: ({ world, params, report }) => {
      const found = world.interactions.get(params["interaction_token"] ?? "");
      if (found === undefined) throw refusal("unknownWebhook");
      report(
        "callback_by_rest",
        "an interaction is answered in the response to it; from a Worker this call hangs",
      );
      throw refusal("alreadyAcknowledged");
    },
  },
  {
    on: "POST /channels/{channel_id}/webhooks",
    auth: "bot",
    handle: ({ world, params, body }) => {
      const channel = channelOf(world, params["channel_id"], "manage");
      const { name } = body as { name: string };
      return { status: 200, body: webhookView(world, world.addWebhook(channel.id, name)) };
    },
  },
  {
    on: "GET /channels/{channel_id}/webhooks",
    auth: "bot",
    handle: ({ world, params }) => {
      const channel = channelOf(world, params["channel_id"], "manage");
      const present = [...world.webhooks.values()].filter(
        (one) => one.channelId === channel.id && !one.deleted,
      );
      return { status: 200, body: present.map((one) => webhookView(world, one)) };
    },
  },
];

function createByToken(call: Call): Reply {
  const { world, params } = call;
  if (params["webhook_id"] !== world.app.id) return executeWebhook(call, webhookOf(world, params));
  const interaction = liveInteraction(world, params["webhook_token"] ?? "");
  const asked = call.body as MessageBody;
  if (interaction.thinking && interaction.original !== undefined) {
    // The first follow-up to a deferral replaces it, and keeps who may see it.
    finish(call, interaction, interaction.original, { ...asked, flags: withoutEphemeral(asked.flags) });
    return { status: 200, body: messageView(world, interaction.original) };
  }
  checkMessage(asked, { mayBeEphemeral: true, existing: undefined }, call.report);
  const message = post(world, interaction.channelId, asked, {
    interactionId: interaction.id,
    ephemeralFor: ((asked.flags ?? 0) & EPHEMERAL) === 0 ? undefined : interaction.userId,
  });
  return { status: 200, body: messageView(world, message) };
}

function editByToken(call: Call): Reply {
  const { world, params } = call;
  const message = messageByToken(world, params);
  const interaction =
    params["webhook_id"] === world.app.id ? world.interactions.get(params["webhook_token"] ?? "") : undefined;
  if (interaction !== undefined && interaction.original === message && interaction.thinking)
    finish(call, interaction, message, call.body as MessageBody);
  else edit(world, message, call.body as MessageBody, call.report);
  return { status: 200, body: messageView(world, message) };
}

/** A deferral shows its message; nothing of the thinking state remains but who sees it. */
function finish(call: Call, interaction: InteractionRecord, message: Message, body: MessageBody): void {
  edit(call.world, message, body, call.report);
  interaction.thinking = false;
}

function executeWebhook({ world, body, query, report }: Call, webhook: Webhook): Reply {
  const asked = body as MessageBody & { thread_name?: string | null; username?: string | null };
  const parent = channelOf(world, webhook.channelId);
  const threadId = query.get("thread_id");
  checkMessage(asked, { mayBeEphemeral: false, existing: undefined }, report);
  const named = (asked.thread_name ?? "") !== "";
  if (parent.type === FORUM && (threadId !== null) === named)
    throw invalidForm([
      { path: ["thread_name"], message: "a forum takes exactly one of thread_id and thread_name" },
    ]);
  if (parent.type !== FORUM && named)
    throw invalidForm([{ path: ["thread_name"], message: "only a forum takes thread_name" }]);
  if (threadId !== null && world.channels.get(threadId)?.parentId !== parent.id)
    throw refusal("unknownChannel");
  const channel = named
    ? world.addChannel(PUBLIC_THREAD, asked.thread_name ?? "", { parentId: parent.id })
    : channelOf(world, threadId ?? parent.id);
  const author = { ...world.app, id: webhook.id, username: asked.username ?? webhook.name };
  const message = post(world, channel.id, asked, { author, webhookId: webhook.id });
  if (query.get("wait") === "true") return { status: 200, body: fullForWebhook(world, message) };
  report("webhook_without_wait", "without wait=true a failure is silent");
  return { status: 204 };
}

function messageByToken(world: World, params: Record<string, string>): Message {
  const { webhook_id: id, webhook_token: token = "", message_id: messageId } = params;
  if (id !== world.app.id) {
    const webhook = webhookOf(world, params);
    const message = world.messages.get(messageId ?? "");
    if (message?.webhookId !== webhook.id || message.deleted) throw refusal("unknownMessage");
    return message;
  }
  const interaction = liveInteraction(world, token);
  const message = messageId === undefined ? interaction.original : world.messages.get(messageId);
  const own =
    message !== undefined && (message === interaction.original || message.interactionId === interaction.id);
  if (!own || message.deleted) throw refusal("unknownMessage");
  return message;
}

function webhookOf(world: World, params: Record<string, string>): Webhook {
  const webhook = world.webhooks.get(params["webhook_id"] ?? "");
  if (webhook === undefined || webhook.deleted || webhook.token !== params["webhook_token"])
    throw refusal("unknownWebhook");
  return webhook;
}

function webhookView(world: World, { id, token, channelId, name }: Webhook): Record<string, unknown> {
  return {
    id,
    token,
    type: 1,
    channel_id: channelId,
    guild_id: world.guild.id,
    name,
    application_id: world.app.id,
  };
}

function fullForWebhook(world: World, message: Message): Record<string, unknown> {
  return { ...messageView(world, message), content: message.content };
}

function withoutEphemeral(flags: number | null | undefined): number {
  return (flags ?? 0) & ~EPHEMERAL;
}
