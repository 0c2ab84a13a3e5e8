/**
 * What a chat was promised survives the death of the edge: workerd is killed with -9 in the middle of a queue, and started again
 * with nobody calling it. What stands in the channel is held against what was acknowledged.
 */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { FakeDiscord } from "../support/fake-discord/index.ts";
import { temporaryFolder } from "../support/flow-workspace.ts";
import { Edge } from "../support/program.ts";
import { storyWorkspace } from "../support/story-workspace.ts";
import { until } from "../support/until.ts";

const MESSAGES = 200;
const KILLED_AFTER = 60;
const CREATE = "POST /channels/{channel_id}/messages";

/** Number of the message that a text shows. */
function numberOf(message: { components: unknown }): number {
  return Number(/message (\d+)/.exec(JSON.stringify(message.components))?.[1]);
}

test("workerd is killed with -9 in the middle of 200 messages: all are there, once, in order, and nobody called; no token is anywhere", async () => {
  const discord = await FakeDiscord.start({ limits: { routes: { [CREATE]: { limit: 5, windowMs: 400 } } } });
  onTestFinished(() => discord.stop());
  const [state, workspace] = [await temporaryFolder(), await storyWorkspace()];
  const env = {
    DISCORD_APPLICATION_ID: discord.app.id,
    DISCORD_BOT_TOKEN: discord.botToken,
    DISCORD_API_URL: discord.apiUrl,
  };
  const edge = await Edge.start({ state, workspace: workspace.root, env });
  onTestFinished(() => edge.stop());
  const outputs: string[] = [];
  const say = async (n: number): Promise<unknown> => {
    const answer = await fetch(`${edge.info.url}/chat/messages`, {
      method: "POST",
      headers: { authorization: `Bearer ${edge.info.tokens.admin}` },
      body: JSON.stringify({
        place: { platform: "discord", channel: discord.text.id },
        key: `message ${n}`,
        class: n === MESSAGES - 1 ? "final" : "event",
        message: { tone: "neutral", title: `message ${n}` },
      }),
    });
    expect(answer.status).toBe(202);
    return answer.json();
  };
  for (let n = 0; n < MESSAGES; n += 1) expect(await say(n)).toEqual({ status: "accepted" });
  expect(await say(0)).toEqual({ status: "duplicate" });

  await discord.waitFor(() => discord.messages(discord.text.id).length >= KILLED_AFTER);
  await edge.kill();
  outputs.push(edge.output);
  // The kill hit the middle, or this test has shown nothing.
  expect(discord.messages(discord.text.id).length).toBeLessThan(MESSAGES);
  await edge.restart();
  await discord.waitFor(() => discord.messages(discord.text.id).length >= MESSAGES);

  // The last one stands there a moment before the outbox has its answer.
  const outbox = await until(async () => {
    const [one] = await edge.client().listChatOutboxes();
    return one?.waiting.final === 0 ? one : undefined;
  });
  expect(outbox).toMatchObject({ waiting: { event: 0, state: 0 }, sent: MESSAGES, parked: [] });
  expect(discord.messages(discord.text.id).map(numberOf)).toEqual(
    Array.from({ length: MESSAGES }, (_unused, n) => n),
  );
  expect(discord.limited).toEqual([]);
  expect(discord.faults).toEqual([]);
  outputs.push(edge.output);
  expect(outputs.join("\n")).not.toContain(discord.botToken);
  await edge.stop();
  const stored = await readdir(join(state, "edge"), { recursive: true, withFileTypes: true });
  const files = stored.filter((entry) => entry.isFile());
  expect(files.length).toBeGreaterThan(0);
  for (const { parentPath, name } of files)
    expect((await readFile(join(parentPath, name))).includes(discord.botToken), name).toBe(false);
});
