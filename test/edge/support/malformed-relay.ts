/** Wrong requests about relayed sessions and the guard of their channels. */
import { TOKENS } from "./api.ts";
import { rows, type MalformedRequest } from "./malformed-row.ts";

const session = {
  id: "0123456789abcdef",
  place: { platform: "discord", channel: "404" },
  mode: "run",
  agent: "Codex",
  title: "a title",
  workdir: "/w",
  timeoutMs: 1000,
  silenceMs: 1000,
};
const control = { id: session.id, place: session.place, action: "status" };

export const MALFORMED_RELAY: readonly MalformedRequest[] = [
  ...rows(
    "post /relay/sessions",
    ["no JSON", { body: "{" }, 400, "invalid_json", [""]],
    ["an id that is short", { body: { ...session, id: "1" } }, 422, "invalid", ["/id"]],
    ["an id that is none", { body: { ...session, id: "a b c d e f g h i j" } }, 422, "invalid", ["/id"]],
    [
      "a channel by its name",
      { body: { ...session, place: { platform: "discord", channel: "general" } } },
      422,
      "invalid",
      ["/place/channel"],
    ],
    [
      "a platform that is none",
      { body: { ...session, place: { platform: "irc", channel: "1" } } },
      422,
      "invalid",
      ["/place/platform"],
    ],
    ["no place", { body: { ...session, place: undefined } }, 422, "invalid", ["/place"]],
    ["a mode that is none", { body: { ...session, mode: "fly" } }, 422, "invalid", ["/mode"]],
    ["no time at all", { body: { ...session, timeoutMs: 0 } }, 422, "invalid", ["/timeoutMs"]],
    ["a title without end", { body: { ...session, title: "x".repeat(257) } }, 422, "invalid", ["/title"]],
    ["more than that", { body: { ...session, user: "me" } }, 422, "invalid", ["/user"]],
    ["a channel whose guard nobody has opened", { body: session }, 403, "guard_closed", ["/place"]],
    [
      "a token that may only read",
      { body: session, token: TOKENS.read },
      403,
      "forbidden",
      ["authorization"],
    ],
  ),
  ...rows(
    "post /relay/guard",
    ["nothing", { body: {} }, 422, "invalid", ["/place", "/mode"]],
    [
      "a session that it was not asked about",
      { body: { place: session.place, mode: "run", title: "x" } },
      422,
      "invalid",
      ["/title"],
    ],
    [
      "a token that may only read",
      { body: { place: session.place, mode: "run" }, token: TOKENS.read },
      403,
      "forbidden",
      ["authorization"],
    ],
  ),
  ...rows(
    "post /relay/control",
    ["nothing", { body: {} }, 422, "invalid", ["/id", "/place", "/action"]],
    ["an action that is none", { body: { ...control, action: "maybe" } }, 422, "invalid", ["/action"]],
    [
      "an action for a channel by its name",
      { body: { ...control, place: { platform: "discord", channel: "general" } } },
      422,
      "invalid",
      ["/place/channel"],
    ],
    ["a token for runners", { body: control, token: TOKENS.runner }, 403, "forbidden", ["authorization"]],
  ),
];
