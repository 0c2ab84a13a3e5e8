/**
 * Why an outbox sends nothing, or a channel takes nothing: the codes in `halted` and `parked` of `GET /chat/status`, in `/status` and in
 * `codex-flow status`. docs/operations.md is made from this table.
 */

export interface OutboxCode {
  meaning: string;
  remedy: string;
}

/** All of the bot waits. */
export const HALT_CODES = {
  no_token: {
    meaning: "the edge has no token of the bot: no request is made",
    remedy:
      "`wrangler secret put` the setting that the message names; what waits is sent then, within 15 minutes",
  },
  "401": {
    meaning: "the platform refuses the bot's token",
    remedy:
      "make a new one (Discord: developer portal, Bot, Reset Token; Telegram: @BotFather, /token) and set it; another token is tried at once, the same one every 15 minutes",
  },
  "404": {
    meaning: "Telegram knows no bot of this token",
    remedy: "as for `401`: it was revoked, or cut when it was pasted",
  },
  "429": {
    meaning: "the platform asks the whole bot to wait, mostly for seconds",
    remedy:
      "nothing. If it is there often: something else speaks with the same token, or too many channels follow everything",
  },
  ip_blocked: {
    meaning:
      "the address that the edge sends from is refused, by a page that is not the platform's own interface (1015)",
    remedy:
      "nothing: it is tried after 30 s, doubling. Others behind the same address may have caused it; a deploy mostly leads to another one",
  },
  too_many_invalid: {
    meaning: "1,000 requests were refused within ten minutes; at 10,000 Discord bans the address",
    remedy: "mend what `parked` names, mostly rights of the bot; it goes on when the ten minutes are over",
  },
} as const satisfies Record<string, OutboxCode>;
export type HaltCode = keyof typeof HALT_CODES;

/** A channel takes nothing, or a message was refused: the platform's own codes, those that are met. */
export const PARK_CODES: readonly ({ code: string } & OutboxCode)[] = [
  {
    code: "50001, 50013",
    meaning: "Discord: the bot may not see the channel, or not write in it",
    remedy:
      "give its role View Channel, Send Messages, Send Messages in Threads, Create Public Threads there; tried every 15 minutes",
  },
  {
    code: "10003",
    meaning: "Discord: the channel is deleted; what waited for it is dropped",
    remedy: "`/channel unfollow` is not needed; the entry goes after a day",
  },
  {
    code: "403",
    meaning: "Telegram: the bot was removed from the chat, or its person has blocked it",
    remedy: "add it again, or unblock it; tried every 15 minutes",
  },
  {
    code: "400",
    meaning: "Telegram: the chat is gone, or the bot lacks a right there; the message has Telegram's words",
    remedy: "make it an administrator that may manage topics, or turn topics off (`/settings topics=off`)",
  },
  {
    code: "50035, other numbers",
    meaning:
      "the platform refuses one message for what it is: it stays behind, with its body, and the next ones go on",
    remedy: "that is a bug of the edge: report the code and its message",
  },
];
