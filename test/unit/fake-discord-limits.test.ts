/** How the fake Discord limits, bans and misbehaves: so that tests of a governor can trust it. */
import { describe, expect, onTestFinished, test } from "vitest";
import { call, edit, post } from "../support/discord-caller.ts";
import { FakeDiscord, NO_LIMITS, PUBLIC_THREAD, type Options } from "../support/fake-discord/index.ts";

const CREATE = "POST /channels/{channel_id}/messages";

/** With Discord's limits, unless others are given, and a clock that stands still. */
async function start(options: Options = {}): Promise<FakeDiscord> {
  const fake = await FakeDiscord.start({ heldClock: true, ...options });
  onTestFinished(() => fake.stop());
  return fake;
}

describe("a bucket", () => {
  test("is told in headers, and refuses what goes beyond it until its time is over", async () => {
    const fake = await start();
    const answers = [];
    for (let n = 0; n < 6; n += 1) answers.push(await post(fake, { content: `${n}` }));
    const remaining = answers.map(({ headers }) => headers.get("x-ratelimit-remaining"));
    expect(remaining).toEqual(["4", "3", "2", "1", "0", "0"]);
    const last = answers.at(-1);
    expect(last).toMatchObject({ status: 429, body: { global: false, retry_after: 5 } });
    const headers = [
      "retry-after",
      "x-ratelimit-scope",
      "x-ratelimit-limit",
      "x-ratelimit-reset-after",
      "x-ratelimit-global",
    ];
    expect(headers.map((name) => last?.headers.get(name))).toEqual(["5", "user", "5", "5.000", null]);
    expect(fake.faults).toEqual([]);
    fake.advance(1_000);
    expect((await post(fake, { content: "too early" })).status).toBe(429);
    expect(fake.faults).toMatchObject([{ rule: "asked_too_early" }]);
    fake.advance(4_000);
    expect((await post(fake, { content: "in time" })).status).toBe(200);
    expect(fake.limited).toMatchObject([{ scope: "user", hidden: false }, {}]);
    expect(fake.invalidRequests).toBe(2);
  });

  test("has the same hash in every channel, and is each channel's own", async () => {
    const fake = await start({ limits: { routes: { [CREATE]: { limit: 1, windowMs: 5_000 } } } });
    const thread = fake.addChannel(PUBLIC_THREAD, "run", { parentId: fake.text.id });
    const one = await post(fake, { content: "x" });
    const other = await post(fake, { content: "x" }, thread.id);
    expect(other.status).toBe(200);
    expect(other.headers.get("x-ratelimit-bucket")).toBe(one.headers.get("x-ratelimit-bucket"));
    const edited = await edit(fake, one.body.id, { content: "y" });
    expect(edited.status).toBe(200);
    expect(edited.headers.get("x-ratelimit-bucket")).not.toBe(one.headers.get("x-ratelimit-bucket"));
  });
});

test("the global limit stops everything but interactions", async () => {
  const fake = await start({ limits: { ...NO_LIMITS, global: { limit: 2, windowMs: 1_000 } } });
  const answers = [];
  for (let n = 0; n < 3; n += 1) answers.push(await call(fake, "GET", "/users/@me"));
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 429]);
  expect(answers[2]?.headers.get("x-ratelimit-global")).toBe("true");
  expect(answers[2]).toMatchObject({ body: { global: true, retry_after: 1 } });
  expect((await call(fake, "POST", `/webhooks/${fake.app.id}/unknown`, { content: "x" })).status).toBe(404);
});

test("a hidden cap is told by nothing but its 429, which is not the client's fault when it is shared", async () => {
  const cap = { route: CREATE, limit: 2, windowMs: 15_000, scope: "shared" as const };
  const fake = await start({ limits: { ...NO_LIMITS, hidden: [cap] } });
  await post(fake, { content: "1" });
  const second = await post(fake, { content: "2" });
  expect(second.headers.get("x-ratelimit-remaining")).not.toBe("0");
  const third = await post(fake, { content: "3" });
  expect(third).toMatchObject({ status: 429, body: { retry_after: 15 } });
  expect(third.headers.get("x-ratelimit-scope")).toBe("shared");
  expect(fake.limited).toMatchObject([{ hidden: true }]);
  expect(fake.invalidRequests).toBe(0);
});

test("messages older than an hour can be edited three times in six seconds", async () => {
  const fake = await start({
    limits: { ...NO_LIMITS, oldEdits: { limit: 3, windowMs: 6_000, afterMs: 3_600_000 } },
  });
  const { body } = await post(fake, { content: "0" });
  for (let n = 1; n < 5; n += 1) await edit(fake, body.id, { content: `${n}` });
  fake.ageMessage(body.id, 3_600_001);
  const answers = [];
  for (let n = 5; n < 9; n += 1) answers.push(await edit(fake, body.id, { content: `${n}` }));
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 429]);
  expect(answers[3]).toMatchObject({ body: { code: 30046, retry_after: 6 } });
  expect(fake.message(body.id).content).toBe("7");
});

test("whoever goes on making invalid requests is blocked by Cloudflare, without rate-limit headers", async () => {
  const fake = await start({ limits: { ...NO_LIMITS, invalid: { limit: 3, windowMs: 600_000 } } });
  const wrong = { authorization: "Bot wrong" };
  for (let n = 0; n < 3; n += 1) await call(fake, "GET", "/users/@me", undefined, wrong);
  const banned = await call(fake, "GET", "/users/@me");
  expect(banned).toMatchObject({ status: 429, text: expect.stringContaining("1015") as string });
  expect([...banned.headers.keys()].filter((name) => name.startsWith("x-ratelimit"))).toEqual([]);
  fake.advance(600_000);
  expect((await call(fake, "GET", "/users/@me")).status).toBe(200);
});

describe("a nonce", () => {
  test("makes creation idempotent in its channel for some minutes, and only with enforce_nonce", async () => {
    const fake = await start({ limits: NO_LIMITS, nonceLifeMs: 60_000 });
    const first = await post(fake, { content: "x", nonce: "same" });
    const again = await post(fake, { content: "x", nonce: "same" });
    expect(again.body.id).toBe(first.body.id);
    const thread = fake.addChannel(PUBLIC_THREAD, "run", { parentId: fake.text.id });
    await post(fake, { content: "x", nonce: "same" }, thread.id);
    await post(fake, { content: "x", nonce: "same", enforce_nonce: false });
    fake.advance(60_000);
    const late = await post(fake, { content: "x", nonce: "same" });
    expect(late.body.id).not.toBe(first.body.id);
    expect(fake.messages(fake.text.id)).toHaveLength(3);
    expect(fake.messages(thread.id)).toHaveLength(1);
    expect(fake.faults.map(({ rule }) => rule)).toEqual(["nonce_missing"]);
  });
});

describe("faults that a test orders", () => {
  test("come as often as they were ordered, for their route only", async () => {
    const fake = await start({ limits: NO_LIMITS });
    fake.misbehave({ route: CREATE, times: 2, with: 503 });
    fake.misbehave({ route: CREATE, with: "blocked" });
    fake.misbehave({ route: CREATE, with: "limited", retryAfter: 2.5 });
    fake.misbehave({ route: CREATE, with: { status: 404, code: 10003, message: "Unknown Channel" } });
    expect((await call(fake, "GET", "/users/@me")).status).toBe(200);
    const answers = [];
    for (let n = 0; n < 6; n += 1) answers.push(await post(fake, { content: "x" }));
    expect(answers.map(({ status }) => status)).toEqual([503, 503, 429, 429, 404, 200]);
    expect(answers[2]?.text).toContain("1015");
    expect(answers[3]?.body.retry_after).toBe(2.5);
    expect(fake.messages(fake.text.id)).toHaveLength(1);
  });

  test("a connection that goes before or after the message was stored", async () => {
    const fake = await start({ limits: NO_LIMITS });
    fake.misbehave({ with: "reset" });
    await expect(post(fake, { content: "lost" })).rejects.toThrow();
    expect(fake.messages(fake.text.id)).toEqual([]);
    fake.misbehave({ with: "done_then_reset" });
    await expect(post(fake, { content: "stored", nonce: "n" })).rejects.toThrow();
    await post(fake, { content: "stored", nonce: "n" });
    expect(fake.messages(fake.text.id)).toHaveLength(1);
  });

  test("an answer that never comes, before or after the message was stored", async () => {
    const fake = await start({ limits: NO_LIMITS });
    const hangs = (content: string) => post(fake, { content }).catch(() => "reset");
    fake.misbehave({ with: "hang" });
    const lost = hangs("lost");
    await fake.waitFor(({ requests }) => requests.length === 1);
    fake.misbehave({ with: "done_then_hang" });
    const stored = hangs("stored");
    await fake.waitFor(() => fake.messages(fake.text.id)[0]);
    fake.dropHanging();
    expect(await Promise.all([lost, stored])).toEqual(["reset", "reset"]);
    expect(fake.messages(fake.text.id).map(({ content }) => content)).toEqual(["stored"]);
  });
});
