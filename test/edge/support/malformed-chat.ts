/** Wrong requests about chats. No bot is configured where these are sent. */
import { CHAT_KEY_MAX_CHARS } from "../../../contract/limits.ts";
import { TOKENS } from "./api.ts";
import { rows, type MalformedRequest } from "./malformed-row.ts";

const place = { platform: "discord", channel: "123" };
const message = { tone: "good", title: "hello" };
const body = { place, key: "k", class: "event", message };

export const MALFORMED_CHAT: readonly MalformedRequest[] = [
  ...rows(
    "post /chat/messages",
    ["no JSON", { body: "hello" }, 400, "invalid_json", [""]],
    ["nothing", { body: {} }, 422, "invalid", ["/place", "/key", "/class", "/message"]],
    [
      "a platform that is none",
      { body: { ...body, place: { ...place, platform: "irc" } } },
      422,
      "invalid",
      ["/place/platform"],
    ],
    [
      "a channel by its name",
      { body: { ...body, place: { ...place, channel: "#general" } } },
      422,
      "invalid",
      ["/place/channel"],
    ],
    [
      "a thread of another form",
      { body: { ...body, place: { ...place, thread: "-1" } } },
      422,
      "invalid",
      ["/place/thread"],
    ],
    ["an empty key", { body: { ...body, key: "" } }, 422, "invalid", ["/key"]],
    [
      "a key over the bound",
      { body: { ...body, key: "k".repeat(CHAT_KEY_MAX_CHARS + 1) } },
      422,
      "invalid",
      ["/key"],
    ],
    ["a class that is none", { body: { ...body, class: "urgent" } }, 422, "invalid", ["/class"]],
    ["no title", { body: { ...body, message: { tone: "good" } } }, 422, "invalid", ["/message/title"]],
    [
      "a link to nowhere good",
      { body: { ...body, message: { ...message, links: [{ label: "x", url: "javascript:alert(1)" }] } } },
      422,
      "invalid",
      ["/message/links/0/url"],
    ],
    ["more than that", { body: { ...body, embed: 1 } }, 422, "invalid", ["/embed"]],
    ["a platform without a bot", { body }, 409, "no_bot", ["/place/platform"]],
    ["a token that may only write", { body, token: TOKENS.write }, 403, "forbidden", ["authorization"]],
  ),
  ...rows("get /chat/status", [
    "a token for runners",
    { token: TOKENS.runner },
    403,
    "forbidden",
    ["authorization"],
  ]),
];
