/** What the platforms' answers mean, as tables. */
import { describe, expect, test } from "vitest";
import type { Job, Outcome } from "../../durable-objects/chat-outbox/delivery/platform.ts";
import { discordOutcome } from "../../durable-objects/chat-outbox/discord/answers.ts";
import { discordPlatform } from "../../durable-objects/chat-outbox/discord/platform.ts";
import { telegramOutcome } from "../../durable-objects/chat-outbox/telegram/answers.ts";
import { telegramPlatform } from "../../durable-objects/chat-outbox/telegram/platform.ts";

const NOW = 1_800_000_000_000;
const message = { tone: "good", title: "t" } as const;
const at = { channel: "1", id: "2" };
const place = { platform: "discord", channel: "1" } as const;
const chat = { platform: "telegram", channel: "-5" } as const;
const thread = {
  anchor: "run",
  parent: "discord:1",
  name: "run",
  state: "none",
  wanted: "open",
  touchedAt: NOW,
} as const;
const JOBS = {
  create: { kind: "create", place, message, nonce: "n" },
  forum: { kind: "create", place, message, nonce: "n", forum: { name: "f" } },
  edit: { kind: "edit", at, message },
  retire: { kind: "retire", at, message },
  probe: { kind: "probe", at, message },
  open: { kind: "open_thread", thread, parent: place, starter: "2" },
  topic: { kind: "open_thread", thread, parent: chat },
  close: { kind: "close_thread", parent: place, id: "3" },
  young: {
    kind: "answer",
    key: "k",
    reply: { applicationId: "9", token: "secret", at: NOW - 1_000 },
    message,
  },
  old: {
    kind: "answer",
    key: "k",
    reply: { applicationId: "9", token: "secret", at: NOW - 60_000 },
    message,
  },
} as const satisfies Record<string, Job>;
type JobName = keyof typeof JOBS;

const limits = (more: Record<string, string>): Record<string, string> => ({
  "x-ratelimit-scope": "user",
  ...more,
});

describe("Discord", () => {
  const rows: [JobName, number, unknown, Record<string, string>, Partial<Outcome>][] = [
    ["create", 200, { id: "7" }, {}, { kind: "done", id: "7" }],
    ["forum", 201, { id: "7" }, {}, { kind: "done", id: "7", channel: "7" }],
    ["edit", 200, { id: "2" }, {}, { kind: "done" }],
    ["retire", 200, { id: "5" }, {}, { kind: "done" }],
    ["open", 201, { id: "2" }, {}, { kind: "done", id: "2" }],
    ["open", 400, { code: 160004, message: "exists" }, {}, { kind: "done", id: "2" }],
    [
      "create",
      429,
      { retry_after: 1.25, global: false },
      limits({ "x-ratelimit-remaining": "0" }),
      { kind: "limited", ms: 1250, scope: "lane", shared: false, hidden: false },
    ],
    [
      "create",
      429,
      { retry_after: 0.5, global: true },
      limits({ "x-ratelimit-scope": "global" }),
      { kind: "limited", ms: 500, scope: "bot" },
    ],
    [
      "create",
      429,
      { retry_after: 3, global: false },
      limits({ "x-ratelimit-scope": "shared", "retry-after": "4" }),
      { kind: "limited", ms: 4000, scope: "lane", shared: true, hidden: true },
    ],
    ["create", 429, "<html>error code: 1015</html>", { "retry-after": "60" }, { kind: "blocked" }],
    [
      "create",
      429,
      { code: 0, message: "You are being blocked from accessing our API" },
      {},
      { kind: "blocked" },
    ],
    ["create", 403, "<html>Access denied</html>", {}, { kind: "blocked" }],
    ["create", 403, { code: 40333, message: "internal network error" }, {}, { kind: "blocked" }],
    [
      "edit",
      429,
      { code: 30046, message: "edits", retry_after: 2 },
      limits({}),
      { kind: "too_old", ms: 60_000 },
    ],
    ["create", 401, { code: 0, message: "401: Unauthorized" }, {}, { kind: "halt", code: "401" }],
    ["create", 403, { code: 50013, message: "Missing Permissions" }, {}, { kind: "park", code: "50013" }],
    ["create", 403, { code: 50001, message: "Missing Access" }, {}, { kind: "park", code: "50001" }],
    ["open", 403, { code: 50013, message: "Missing Permissions" }, {}, { kind: "no_threads" }],
    ["open", 400, { code: 160006, message: "too many" }, {}, { kind: "no_threads" }],
    ["probe", 403, { code: 50005, message: "another user" }, {}, { kind: "message_gone" }],
    ["create", 404, { code: 10003, message: "Unknown Channel" }, {}, { kind: "drop", code: "10003" }],
    ["edit", 404, { code: 10008, message: "Unknown Message" }, {}, { kind: "message_gone" }],
    ["edit", 400, { code: 50083, message: "Thread is archived" }, {}, { kind: "thread_closed" }],
    ["create", 400, { code: 50008, message: "non-text" }, {}, { kind: "forum" }],
    ["create", 400, { code: 50024, message: "cannot execute here" }, {}, { kind: "forum" }],
    ["forum", 400, { code: 50008, message: "non-text" }, {}, { kind: "refused" }],
    ["forum", 400, { code: 50024, message: "cannot execute here" }, {}, { kind: "refused" }],
    ["open", 400, { code: 50024, message: "cannot execute here" }, {}, { kind: "no_threads" }],
    ["create", 400, { code: 50035, message: "Invalid Form Body" }, {}, { kind: "refused", code: "50035" }],
    ["create", 500, "", {}, { kind: "retry", code: "500" }],
    ["create", 503, "<html>", {}, { kind: "retry" }],
    ["create", 302, "", {}, { kind: "retry" }],
    ["young", 404, { code: 10015, message: "Unknown Webhook" }, {}, { kind: "token_dead", young: true }],
    ["old", 404, { code: 10015, message: "Unknown Webhook" }, {}, { kind: "token_dead", young: false }],
    [
      "young",
      401,
      { code: 50027, message: "Invalid Webhook Token" },
      {},
      { kind: "token_dead", young: false },
    ],
    ["young", 404, { code: 10008, message: "Unknown Message" }, {}, { kind: "message_gone" }],
  ];
  test.each(rows)("%s, %d %j %j: %j", (job, status, body, headers, outcome) => {
    expect(discordOutcome(JOBS[job], { status, body, headers: new Headers(headers) }, NOW)).toMatchObject(
      outcome,
    );
  });

  describe("one in doubt is found", () => {
    const bornMs = 1_420_070_400_000;
    const idAt = (ms: number): string => String(BigInt(ms - bornMs) << 22n);
    const text = { components: [{ type: 17, components: [{ type: 10, content: "### t" }] }] };
    const find = { kind: "find", place, message, since: NOW, known: [idAt(NOW + 5)], forum: false } as const;
    const ours = { ...text, author: { bot: true } };
    test.each([
      ["by its text", { ...ours, id: idAt(NOW + 9) }, "done"],
      ["not when it is known to be another one", { ...ours, id: idAt(NOW + 5) }, "message_gone"],
      ["not when it was there before", { ...ours, id: idAt(NOW - 60_000) }, "message_gone"],
      ["not when a person wrote it", { ...ours, id: idAt(NOW + 9), author: {} }, "message_gone"],
      [
        "not when it answers an interaction",
        { ...ours, id: idAt(NOW + 9), interaction_metadata: {} },
        "message_gone",
      ],
      ["not by another text", { ...ours, components: [], id: idAt(NOW + 9) }, "message_gone"],
    ])("%s", (_what, listed, kind) => {
      expect(discordOutcome(find, { status: 200, body: [listed], headers: new Headers() }, NOW).kind).toBe(
        kind,
      );
    });
  });
});

describe("Telegram", () => {
  const error = (error_code: number, description: string, parameters?: object): object => ({
    ok: false,
    error_code,
    description,
    ...(parameters === undefined ? {} : { parameters }),
  });
  const rows: [JobName, number, unknown, Partial<Outcome>][] = [
    ["create", 200, { ok: true, result: { message_id: 7, message_thread_id: 3 } }, { kind: "done", id: "7" }],
    ["topic", 200, { ok: true, result: { message_thread_id: 3, name: "run" } }, { kind: "done", id: "3" }],
    ["retire", 200, { ok: true, result: true }, { kind: "done" }],
    [
      "edit",
      400,
      error(400, "Bad Request: message is not modified: specified new message content …"),
      { kind: "done" },
    ],
    ["probe", 400, error(400, "Bad Request: message is not modified"), { kind: "done", id: "2" }],
    ["probe", 400, error(400, "Bad Request: message to edit not found"), { kind: "message_gone" }],
    ["edit", 400, error(400, "Bad Request: message can't be edited"), { kind: "message_gone" }],
    [
      "create",
      429,
      error(429, "Too Many Requests: retry after 17", { retry_after: 17 }),
      { kind: "limited", ms: 18_000, scope: "bot" },
    ],
    ["create", 429, "<html>", { kind: "blocked" }],
    ["create", 401, error(401, "Unauthorized"), { kind: "halt" }],
    ["create", 404, error(404, "Not Found"), { kind: "halt" }],
    ["create", 403, error(403, "Forbidden: bot was blocked by the user"), { kind: "park", code: "403" }],
    ["create", 403, error(403, "Forbidden: bot was kicked from the supergroup chat"), { kind: "park" }],
    [
      "create",
      400,
      error(400, "Bad Request: not enough rights to send text messages to the chat"),
      { kind: "park" },
    ],
    ["create", 400, error(400, "Bad Request: chat not found"), { kind: "drop" }],
    [
      "create",
      400,
      error(400, "Bad Request: group chat was upgraded to a supergroup chat", { migrate_to_chat_id: -100 }),
      { kind: "moved", channel: "-100" },
    ],
    ["create", 400, error(400, "Bad Request: message thread not found"), { kind: "thread_gone" }],
    ["create", 400, error(400, "Bad Request: TOPIC_CLOSED"), { kind: "thread_closed" }],
    ["close", 400, error(400, "Bad Request: TOPIC_NOT_MODIFIED"), { kind: "done" }],
    ["topic", 400, error(400, "Bad Request: the chat is not a forum"), { kind: "no_threads" }],
    ["topic", 400, error(400, "Bad Request: not enough rights to create a topic"), { kind: "no_threads" }],
    ["create", 400, error(400, "Bad Request: can't parse entities"), { kind: "refused", code: "400" }],
    ["create", 502, "Bad Gateway", { kind: "retry" }],
    ["create", 200, { ok: false }, { kind: "retry" }],
  ];
  test.each(rows)("%s, %d %j: %j", (job, status, body, outcome) => {
    expect(telegramOutcome(JOBS[job], { status, body, headers: new Headers() })).toMatchObject(outcome);
  });
});

describe("a request", () => {
  const discord = discordPlatform({ token: "the-token", edgeUrl: "https://flows.example.org" });
  const telegram = telegramPlatform({ token: "1:the-token" });

  test.each(["create", "forum", "edit", "retire", "open", "close"] as const)(
    "%s goes to Discord alone, with its token in one header and a User-Agent in Discord's form",
    (name) => {
      const request = discord.request(JOBS[name]);
      expect(discord.url(request)).toMatch(/^https:\/\/discord\.com\/api\/v10\/channels\/\d/);
      expect(discord.headers(request)).toMatchObject({
        authorization: "Bot the-token",
        "user-agent": expect.stringMatching(
          /^DiscordBot \(https:\/\/flows\.example\.org, \d\S*\)$/,
        ) as string,
      });
      expect(JSON.stringify(request)).not.toContain("the-token");
    },
  );

  test.each([
    undefined,
    "",
    "flows.example.org",
    "https://a b",
    "https://a)\r\nx: y",
    `https://${"a".repeat(300)}`,
  ])("to Discord names the package where the edge's address is %j, and makes none up", (edgeUrl) => {
    const { headers, request } = discordPlatform({ token: "the-token", edgeUrl });
    expect(headers(request(JOBS.create))["user-agent"]).toMatch(
      /^DiscordBot \(codex-flow-edge, \d+\.\d+\.\d+\)$/,
    );
  });

  test("that creates is idempotent by its nonce; none of them looks for mentions", () => {
    expect(discord.request(JOBS.create).body).toMatchObject({ nonce: "n", enforce_nonce: true });
    for (const name of ["create", "edit"] as const)
      expect(discord.request(JOBS[name]).body).toMatchObject({ allowed_mentions: { parse: [] } });
    expect(discord.request(JOBS.forum).body).toMatchObject({ message: { allowed_mentions: { parse: [] } } });
  });

  test("that answers an interaction goes without the bot's token", () => {
    expect(discord.headers(discord.request(JOBS.young))).not.toHaveProperty("authorization");
  });

  test("goes to Telegram alone", () => {
    const request = telegram.request({ kind: "create", place: chat, message, nonce: "" });
    expect(telegram.url(request)).toBe("https://api.telegram.org/bot1:the-token/sendMessage");
    expect(JSON.stringify(request)).not.toContain("the-token");
  });

  test("shares its lane with what must not overtake it", () => {
    expect(discord.lane(JOBS.create).name).not.toBe(discord.lane(JOBS.edit).name);
    const lanes = [
      telegram.lane({ kind: "create", place: chat, message, nonce: "" }),
      telegram.lane({ kind: "create", place: { ...chat, thread: "4" }, message, nonce: "" }),
      telegram.lane({ kind: "edit", at: { channel: "-5", id: "1" }, message }),
    ];
    expect(new Set(lanes.map(({ name }) => name)).size).toBe(1);
  });
});
