/** Runs in Telegram: topics in a group, none in a private chat, and one limit for all cards of a group. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { NO_LIMITS } from "../support/fake-telegram/options.ts";
import { startRun } from "./support/api.ts";
import { TestBoard } from "./support/board.ts";
import { addChannels, inChannel, look, startTelegram, type TelegramFake } from "./support/chat-fakes.ts";
import { RunLink } from "./support/fake-runner.ts";
import { deployStep } from "./support/flow-catalog.ts";
import { telegramPlace } from "./support/outbox.ts";
import { closeSockets } from "./support/socket.ts";
import { endObjects } from "./support/tidy.ts";

let fake: TelegramFake;
beforeAll(async () => {
  fake = await startTelegram({ limits: NO_LIMITS });
});
afterEach(closeSockets);
afterAll(endObjects);

async function running(): Promise<{ runId: string; link: RunLink }> {
  const { runId } = await startRun(deployStep().type);
  return { runId, link: await RunLink.claim(runId, 1, "runner-a") };
}

async function clean(): Promise<void> {
  expect((await look(fake)).faults).toEqual([]);
}

describe("a run", () => {
  test("has a topic of its own in a group, which leads back to it", async () => {
    const { runId, link } = await running();
    const board = TestBoard.onTelegram(fake);
    await board.follows(telegramPlace(fake.group));
    await board.changed({ runId });
    await link.complete({ status: "completed", message: "a < b && c" });
    await board.changed({ runId });
    const seen = await look(fake);
    const topic = seen.threads.find(({ parent }) => parent === fake.group)?.id ?? "";
    const messages = inChannel(seen, fake.group).filter((message) => message.topic === topic);
    expect(messages.filter(({ text }) => text.includes("lab · done"))).toHaveLength(2);
    expect(messages.at(-1)?.text).toContain("a &lt; b &amp;&amp; c");
    expect(await board.inside((life) => life.board.runOfThread(telegramPlace(fake.group, topic)))).toBe(
      runId,
    );
    await clean();
  });

  test("stays in a private chat itself, whatever is set", async () => {
    const { runId } = await running();
    const board = TestBoard.onTelegram(fake);
    await board.follows(telegramPlace(fake.chat), { threads: true });
    await board.changed({ runId });
    const [card, ...more] = inChannel(await look(fake), fake.chat);
    expect(card?.text).toContain("lab · running");
    expect(more).toEqual([]);
    await clean();
  });

  test("is drawn the more slowly the more cards move in its group", async () => {
    const [group = ""] = await addChannels(fake, 1);
    const board = TestBoard.onTelegram(fake);
    await board.follows(telegramPlace(group), { output: "verbose", threads: false });
    for (let run = 0; run < 4; run += 1) await board.changed({ runId: (await running()).runId });
    await board.after(20_000);
    const before = (await look(fake)).requests.length;
    await board.after(5_000);
    expect(await board.inside((life) => life.dueIn)).toBeGreaterThan(10_000);
    expect((await look(fake)).requests).toHaveLength(before);
    await clean();
  });
});
