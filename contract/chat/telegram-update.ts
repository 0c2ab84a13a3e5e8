/**
 * An update as Telegram sends it to a webhook, as far as it matters here (Bot API, "Update"). Unknown fields are let
 * through, since Telegram adds some with every version; what is named here and has another form makes the whole update
 * one that is not understood.
 */
import Type, { type Static } from "typebox";

/** Telegram's ids have at most 52 significant bits. */
const Id = Type.Integer({ minimum: Number.MIN_SAFE_INTEGER, maximum: Number.MAX_SAFE_INTEGER });

const User = Type.Object({
  id: Id,
  is_bot: Type.Optional(Type.Boolean()),
  first_name: Type.Optional(Type.String()),
  last_name: Type.Optional(Type.String()),
  username: Type.Optional(Type.String()),
});
export type TelegramUser = Static<typeof User>;

const Chat = Type.Object({
  id: Id,
  type: Type.String({ description: "private, group, supergroup or channel" }),
  title: Type.Optional(Type.String()),
});

const Keyboard = Type.Object({
  inline_keyboard: Type.Optional(
    Type.Array(Type.Array(Type.Object({ callback_data: Type.Optional(Type.String()) }))),
  ),
});

const HEAD = {
  message_id: Id,
  chat: Chat,
  from: Type.Optional(User),
  /** A channel, or a group's anonymous administrator: `from` is then a stand-in of Telegram's. */
  sender_chat: Type.Optional(Chat),
  message_thread_id: Type.Optional(Id),
  /** Without it, `message_thread_id` only names a thread of replies. */
  is_topic_message: Type.Optional(Type.Boolean()),
  text: Type.Optional(Type.String()),
  // Marks of words that the sender has not written (Bot API, "Message"): forwards, in today's form and the one before
  // version 7.0, results of inline bots, and posts that Telegram copies from a linked channel. Only their presence matters.
  forward_origin: Type.Optional(Type.Unknown()),
  forward_date: Type.Optional(Type.Unknown()),
  forward_from: Type.Optional(Type.Unknown()),
  forward_from_chat: Type.Optional(Type.Unknown()),
  forward_sender_name: Type.Optional(Type.Unknown()),
  via_bot: Type.Optional(Type.Unknown()),
  is_automatic_forward: Type.Optional(Type.Unknown()),
  reply_markup: Type.Optional(Keyboard),
};

const RepliedTo = Type.Object(HEAD);

const Message = Type.Object({
  ...HEAD,
  reply_to_message: Type.Optional(RepliedTo),
  migrate_to_chat_id: Type.Optional(Id),
  migrate_from_chat_id: Type.Optional(Id),
});
export type TelegramMessage = Static<typeof Message>;

const CallbackQuery = Type.Object({
  id: Type.String(),
  from: User,
  /** Absent for a message that was sent by way of the bot, which ours never is. */
  message: Type.Optional(Type.Object(HEAD)),
  data: Type.Optional(Type.String()),
});

const ChatMemberUpdated = Type.Object({
  chat: Chat,
  from: User,
  new_chat_member: Type.Object({ status: Type.String() }),
});

export const TelegramUpdate = Type.Object(
  {
    update_id: Id,
    message: Type.Optional(Message),
    callback_query: Type.Optional(CallbackQuery),
    my_chat_member: Type.Optional(ChatMemberUpdated),
  },
  { $id: "TelegramUpdate" },
);
export type TelegramUpdate = Static<typeof TelegramUpdate>;
