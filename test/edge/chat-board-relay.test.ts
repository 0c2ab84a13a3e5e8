/** A relayed session in its chat, from the flags that its relay was given: what its agent does, and in which thread. */
import { afterAll, afterEach, expect, test } from "vitest";
import type { AgentItem } from "../../contract/agent-item.ts";
import { placeKey, type ChatOrigin, type ChatPlace } from "../../contract/chat/place.ts";
import type { RelaySessionAnswer } from "../../contract/relay.ts";
import { NO_LIMITS } from "../support/fake-discord/options.ts";
import { NO_LIMITS as NO_TELEGRAM_LIMITS } from "../support/fake-telegram/options.ts";
import { call, expectJson, rewriteRun, TOKENS } from "./support/api.ts";
import { TestBoard } from "./support/board.ts";
import { addChannels, inChannel, look, startDiscord, startTelegram } from "./support/chat-fakes.ts";
import { openGuard } from "./support/guard.ts";
import { RunLink } from "./support/fake-runner.ts";
import { discordPlace, telegramPlace } from "./support/outbox.ts";
import { closeSockets } from "./support/socket.ts";
import { endObjects } from "./support/tidy.ts";

afterEach(closeSockets);
afterAll(endObjects);

interface Session {
  runId: string;
  link: RunLink;
  origin: ChatOrigin;
}

/** A session that has begun, and where its event object says that it is shown. */
async function session(place: ChatPlace, more: { thread?: boolean } = {}): Promise<Session> {
  await openGuard(place);
  const body = {
    id: crypto.randomUUID(),
    ...{ place, mode: "run", agent: "Codex", title: "fix the tests", workdir: "/home/ada/app" },
    ...{ timeoutMs: 60_000, silenceMs: 60_000 },
    ...more,
  };
  const begun = call("POST", "/relay/sessions", { body, token: TOKENS.runner });
  const { runId, attempt } = await expectJson<RelaySessionAnswer>(begun, 202);
  let origin: ChatOrigin | undefined;
  await rewriteRun(runId, (run) => {
    origin = run.chat;
    return run;
  });
  if (origin === undefined) throw new Error("a relayed session is shown nowhere");
  return { runId, link: await RunLink.claim(runId, attempt, "relay-1"), origin };
}

/** It says something, and is over. */
async function speakAndEnd(link: RunLink): Promise<void> {
  const said: AgentItem = {
    ...{ type: "message", id: "m1", state: "completed", role: "agent", text: "I fix the tests" },
  };
  link.tell({ type: "output", chunks: [link.chunk(JSON.stringify(said), "agent")] });
  await link.acked(link.seq);
  await link.complete({ status: "changed", message: "all done" });
}

test("what its agent says and does stands in its thread, as with any other agent", async () => {
  const fake = await startDiscord({ limits: NO_LIMITS });
  const board = TestBoard.onDiscord(fake);
  const { runId, link, origin } = await session(discordPlace(fake.text));
  await speakAndEnd(link);
  await board.changed({ runId, flow: "relay", eventType: "relay.session", origin });
  const seen = await look(fake);
  const thread = seen.threads.find(({ parent }) => parent === fake.text)?.id ?? "";
  const texts = inChannel(seen, thread).map(({ text }) => text);
  // Not only among the last lines of a card, which the next ones push out.
  expect(texts.filter((text) => text.includes("I fix the tests") && !text.includes("###"))).toHaveLength(1);
  expect(texts.at(-1)).toContain("all done");
  expect(seen.faults).toEqual([]);
});

test.each([
  ["--thread: it has one of its own, whatever the channel is used to", { thread: true }, 1],
  ["no --thread: it is as the channel is used to", {}, 0],
])("%s", async (_name, flags, threads) => {
  const fake = await startDiscord({ limits: NO_LIMITS });
  const [channel = ""] = await addChannels(fake, 1);
  const board = TestBoard.onDiscord(fake);
  await board.follows(discordPlace(channel), { flows: [], threads: false });
  const { runId, link, origin } = await session(discordPlace(channel), flags);
  await speakAndEnd(link);
  await board.changed({ runId, flow: "relay", eventType: "relay.session", origin });
  const seen = await look(fake);
  expect(seen.threads.filter(({ parent }) => parent === channel)).toHaveLength(threads);
  const own = seen.threads.find(({ parent }) => parent === channel)?.id;
  expect(inChannel(seen, own ?? channel).at(-1)?.text).toContain("all done");
  if (own !== undefined)
    expect(inChannel(seen, channel).some(({ text }) => text.includes("all done"))).toBe(false);
  expect(seen.faults).toEqual([]);
});

test("--tg-chat with --tg-thread: all of it is in that topic, and no other is made", async () => {
  const fake = await startTelegram({ limits: NO_TELEGRAM_LIMITS });
  const board = TestBoard.onTelegram(fake);
  const { runId: first, origin: made } = await session(telegramPlace(fake.group), { thread: true });
  await board.changed({ runId: first, flow: "relay", eventType: "relay.session", origin: made });
  const topic = (await look(fake)).threads.find(({ parent }) => parent === fake.group)?.id ?? "";

  const place = telegramPlace(fake.group, topic);
  const { runId, link, origin } = await session(place, { thread: true });
  expect(placeKey(origin.place)).toBe(placeKey(place));
  await speakAndEnd(link);
  await board.changed({ runId, flow: "relay", eventType: "relay.session", origin });
  const seen = await look(fake);
  expect(seen.threads.filter(({ parent }) => parent === fake.group)).toHaveLength(1);
  const messages = inChannel(seen, fake.group).filter(({ text }) => /I fix the tests|all done/.test(text));
  expect(messages.length).toBeGreaterThanOrEqual(2);
  for (const message of messages) expect(message.topic).toBe(topic);
  expect(seen.faults).toEqual([]);
});
