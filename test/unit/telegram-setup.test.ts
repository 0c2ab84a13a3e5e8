/** `codex-flow telegram setup` against a Telegram on loopback: what it changes, what it says, and that no secret shows. */
import { describe, expect, onTestFinished, test } from "vitest";
import { telegramMenu } from "../../contract/chat/telegram-commands.ts";
import { EXIT } from "../../runner-agent/cli/exit-codes.ts";
import { setupPlan } from "../../runner-agent/telegram/setup-plan.ts";
import { codexFlow, type Ended } from "../support/command-line.ts";
import { FakeTelegram } from "../support/fake-telegram/index.ts";
import { startEndpoint } from "../support/http-endpoint.ts";

const SECRET = "new_secret-1-of-the-webhook";

async function startTelegram(): Promise<FakeTelegram> {
  const fake = await FakeTelegram.start();
  onTestFinished(() => fake.stop());
  return fake;
}

/** The webhook of an edge that knows these secrets. */
async function startWebhook(known = [SECRET]): Promise<string> {
  const url = await startEndpoint(({ headers }) => {
    const given = String(headers["x-telegram-bot-api-secret-token"]);
    return { status: known.includes(given) ? 200 : 401, body: {} };
  });
  return url.replace(/\/$/, "");
}

async function setUp(
  fake: FakeTelegram,
  edge: string,
  words: string[] = [],
  environment: Record<string, string> = {},
): Promise<Ended> {
  const ended = await codexFlow(["telegram", "setup", "--url", edge, ...words], {
    environment: {
      TELEGRAM_API_URL: fake.apiUrl,
      TELEGRAM_BOT_TOKEN: fake.token,
      TELEGRAM_WEBHOOK_SECRETS: `${SECRET},old_secret_of_the_webhook`,
      ...environment,
    },
  });
  const token = environment["TELEGRAM_BOT_TOKEN"] ?? fake.token;
  for (const hidden of [token, SECRET, "old_secret"])
    if (hidden !== "") expect(ended.out + ended.err).not.toContain(hidden);
  return ended;
}

const changing = (fake: FakeTelegram): string[] =>
  fake.requests.map(({ method }) => method).filter((method) => method.startsWith("set"));

describe("telegram setup", () => {
  test("without --yes shows what would change, and changes nothing", async () => {
    const fake = await startTelegram();
    const { code, out, err } = await setUp(fake, "https://flows.example.com");
    expect(code).toBe(EXIT.ok);
    expect(out).toContain("would change");
    expect(out).toContain("+ webhook  https://flows.example.com/telegram/webhook?bot=codex_flow_bot");
    expect(out).toContain("+ /ask  ");
    expect(out).toMatch(/privacy mode +on: .*setprivacy/);
    expect(err).toContain("--yes");
    expect(changing(fake)).toEqual([]);
  });

  test("with --yes changes it, and the second time only sets the secret again", async () => {
    const fake = await startTelegram();
    const edge = await startWebhook();
    expect((await setUp(fake, edge, ["--yes"])).code).toBe(EXIT.ok);
    expect(fake.webhook).toEqual({
      url: `${edge}/telegram/webhook?bot=codex_flow_bot`,
      secret: SECRET,
    });
    expect(fake.commands()).toEqual(telegramMenu());
    expect(changing(fake)).toEqual(["setWebhook", "setMyCommands"]);

    const again = await setUp(fake, edge, ["--yes", "--json"]);
    expect(JSON.parse(again.out)).toMatchObject({ changes: [], applied: true });
    expect(changing(fake)).toEqual(["setWebhook", "setMyCommands", "setWebhook"]);
    expect((await setUp(fake, edge)).out).not.toContain("would change");
    expect(fake.faults).toEqual([]);
  });

  test("says what became of Telegram's last deliveries", async () => {
    const fake = await startTelegram();
    const edge = await startWebhook(["another"]);
    fake.useWebhook(`${edge}/telegram/webhook`, SECRET);
    const delivered = fake.say(fake.chat, fake.alice, "hello").catch(() => "given up");
    const { out } = await untilTrouble(fake, edge);
    expect(out).toMatch(/last trouble .*401/);
    await fake.stop();
    await delivered;
  });

  test("does not point Telegram at an edge that does not know the secret", async () => {
    const fake = await startTelegram();
    const { code, err } = await setUp(fake, await startWebhook(["old_secret"]), ["--yes"]);
    expect([code, err]).toEqual([
      EXIT.usage,
      expect.stringContaining("wrangler secret put TELEGRAM_WEBHOOK_SECRETS"),
    ]);
    expect(changing(fake)).toEqual([]);
  });

  test.each([
    ["TELEGRAM_BOT_TOKEN", "", EXIT.usage, "BotFather"],
    ["TELEGRAM_BOT_TOKEN", "123 456", EXIT.usage, "BotFather"],
    ["TELEGRAM_BOT_TOKEN", "1:not-this-bots", EXIT.denied, "BotFather"],
    ["TELEGRAM_WEBHOOK_SECRETS", "", EXIT.usage, "openssl rand -hex 32"],
    ["TELEGRAM_WEBHOOK_SECRETS", "too_short", EXIT.usage, "openssl rand -hex 32"],
    ["TELEGRAM_WEBHOOK_SECRETS", "not/for/telegram", EXIT.usage, "openssl rand -hex 32"],
    ["TELEGRAM_API_URL", "http://127.0.0.1:1", EXIT.unreachable, "api.telegram.org"],
  ])("%s=%j names the fix", async (name, value, expected, fix) => {
    const fake = await startTelegram();
    const { code, err } = await setUp(fake, "https://flows.example.com", ["--yes"], { [name]: value });
    expect([code, err]).toEqual([expected, expect.stringMatching(new RegExp(`fix: .*${fix}`))]);
    expect(changing(fake)).toEqual([]);
  });

  test("an edge that is not there is one that cannot be reached", async () => {
    const fake = await startTelegram();
    const { code } = await setUp(fake, "http://127.0.0.1:1", ["--yes"]);
    expect([code, changing(fake)]).toEqual([EXIT.unreachable, []]);
  });
});

/** Once Telegram has noted its failed delivery. */
async function untilTrouble(fake: FakeTelegram, edge: string): Promise<Ended> {
  for (;;) {
    const ended = await setUp(fake, edge);
    if (ended.out.includes("last trouble")) return ended;
  }
}

test("a plan names only what differs, commands that go too", () => {
  const menu = telegramMenu();
  const info = {
    url: "https://a.example/telegram/webhook?bot=b",
    pending_update_count: 0,
    max_connections: 40,
    allowed_updates: ["my_chat_member", "message", "callback_query"],
  };
  const bot = { id: 1, username: "b" };
  expect(setupPlan("https://a.example/", bot, info, menu)).toMatchObject({
    webhookChanges: [],
    commandChanges: [],
  });
  const old = [
    { command: "old", description: "gone" },
    ...menu.slice(1),
    { command: "ask", description: "x" },
  ];
  expect(setupPlan("https://a.example", bot, { ...info, url: "" }, old)).toMatchObject({
    webhookChanges: [{ what: "webhook", after: info.url }],
    commandChanges: [
      { what: "/old", before: "gone" },
      { what: "/ask", before: "x", after: menu[0]?.description },
    ],
  });
});
