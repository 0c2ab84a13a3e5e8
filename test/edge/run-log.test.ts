/** The log of a run as a page for people: opened by a link from a chat, which opens nothing else and not for long. */
import { env } from "cloudflare:workers";
import { afterAll, afterEach, expect, test } from "vitest";
import type { AgentItem } from "../../contract/agent-item.ts";
import { logLinkForAnswer, logLinkForCard } from "../../durable-objects/chat-outbox/log-link.ts";
import { app } from "../../worker/app.ts";
import type { Env } from "../../worker/env.ts";
import { startRun } from "./support/api.ts";
import { RunLink } from "./support/fake-runner.ts";
import { deployStep } from "./support/flow-catalog.ts";
import { closeSockets } from "./support/socket.ts";
import { boundGroup, message, saidIn, take } from "./support/telegram.ts";
import { endObjects } from "./support/tidy.ts";
import { until } from "./support/api.ts";

afterEach(closeSockets);
afterAll(endObjects);

const BASE = "https://edge.example";
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const BOT: Partial<Env> = { DISCORD_BOT_TOKEN: "token-of-the-bot-0123456789" };

async function open(
  url: string,
  settings: Partial<Env> = BOT,
): Promise<{ status: number; text: string; headers: Headers }> {
  const response = await app.fetch(new Request(url), { ...env, ...settings });
  return { status: response.status, text: await response.text(), headers: response.headers };
}

async function printed(): Promise<{ runId: string; link: RunLink }> {
  const { runId } = await startRun(deployStep({ runner: "codex" }).type);
  const link = await RunLink.claim(runId, 1, "runner-a");
  await link.print("<b>one</b>\n");
  const item: AgentItem = { type: "message", id: "m", state: "completed", role: "agent", text: "two" };
  link.tell({ type: "output", chunks: [link.chunk(JSON.stringify(item), "agent")] });
  await link.acked(link.seq);
  return { runId, link };
}

const linkTo = (runId: string, now = Date.now(), settings = BOT): string => {
  const url = logLinkForAnswer(settings, `${BASE}/`, runId, now);
  if (url === undefined) throw new Error("there is no link");
  return url;
};

test("it is all of the output as plain text, kept and found by nobody", async () => {
  const { runId, link } = await printed();
  const running = await open(linkTo(runId));
  expect(running).toMatchObject({ status: 200 });
  expect(running.text).toContain(`${runId}: running\n\n<b>one</b>\ntwo\n`);
  await link.complete({ status: "completed" });
  const { headers } = await open(linkTo(runId));
  expect(Object.fromEntries(headers)).toMatchObject({
    "content-type": "text/plain; charset=utf-8",
    "cache-control": "no-store",
    "x-robots-tag": "noindex, nofollow",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
  });
});

test("a link that was changed, is over, is of another run or another bot opens nothing, and tells nothing", async () => {
  const { runId } = await printed();
  const { runId: other } = await printed();
  const url = linkTo(runId);
  const until = Number(new URL(url).searchParams.get("until"));
  const wrong = [
    url.replace(runId, other),
    url.replace(/until=\d+/, `until=${until + 3_600}`),
    url.replace(/until=\d+/, "until=9e9"),
    url.replace(/sig=./, "sig=_"),
    url.replace(/&sig=.*/, ""),
    url.replace(/\?.*/, ""),
    linkTo(runId, Date.now() - HOUR_MS - 1_000),
    linkTo(runId, Date.now(), { DISCORD_BOT_TOKEN: "another" }),
    url.replace(runId, "run_0123456789abcdef_9"),
  ];
  for (const given of wrong) {
    const { status, text } = await open(given);
    expect(status, given).toBe(401);
    expect(text).not.toContain("<b>");
  }
  expect((await open(url, {})).status).toBe(401);
});

test("a link opens no other route, and a token does not open the page", async () => {
  const { runId } = await printed();
  const output = linkTo(runId).replace("/log?", "/output?");
  expect((await open(output)).status).toBe(401);
  const bare = await app.fetch(
    new Request(`${BASE}/runs/${runId}/log`, { headers: { authorization: "Bearer admin" } }),
    { ...env, ...BOT },
  );
  expect(bare.status).toBe(401);
});

test("on a card it stays the same for a day and is good until the end of the next one; without a bot there is none", () => {
  const runId = "run_0123456789abcdef_1";
  const morning = Date.UTC(2026, 9, 1, 0, 0, 1);
  const link = (now: number) => logLinkForCard(BOT, BASE, runId, now) ?? "";
  expect(link(morning + 23 * HOUR_MS)).toBe(link(morning));
  expect(link(morning + DAY_MS)).not.toBe(link(morning));
  expect(Number(new URL(link(morning)).searchParams.get("until")) * 1_000).toBe(Date.UTC(2026, 9, 3));
  expect(link(morning).length).toBeLessThan(512);
  expect(logLinkForCard({}, BASE, runId, morning)).toBeUndefined();
  expect(logLinkForCard(BOT, "", runId, morning)).toBeUndefined();
});

test("who asks for logs in a chat gets one, at the address by which the chat reached the edge", async () => {
  const { group, admin } = await boundGroup();
  const { runId } = await printed();
  await take(message(group, admin, `/logs ${runId}`));
  const answer = await until(async () => {
    const last = (await saidIn(group)).at(-1);
    expect(last?.code?.text).toContain("one");
    return last;
  });
  const url = answer?.links?.[0]?.url ?? "";
  expect(url).toMatch(new RegExp(`^https://edge/runs/${runId}/log\\?until=\\d+&sig=[\\w-]{43}$`));
});
