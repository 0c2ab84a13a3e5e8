/** Messages to the bot in a run's thread, picked up by asking: said to the run once, by the scopes of whoever wrote them. */
import { env } from "cloudflare:workers";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { Admission, Attempt } from "../../durable-objects/chat-access/calls.ts";
import { NO_LIMITS } from "../support/fake-discord/options.ts";
import { runOf, startRun } from "./support/api.ts";
import { TestBoard } from "./support/board.ts";
import { addChannels, inChannel, look, startDiscord, tell, type DiscordFake } from "./support/chat-fakes.ts";
import { RunLink } from "./support/fake-runner.ts";
import { deployStep } from "./support/flow-catalog.ts";
import { discordPlace } from "./support/outbox.ts";
import { closeSockets } from "./support/socket.ts";
import { endObjects } from "./support/tidy.ts";

let fake: DiscordFake;
beforeAll(async () => {
  fake = await startDiscord({ limits: NO_LIMITS });
});
afterEach(closeSockets);
afterAll(endObjects);

/** Admits each key once, and everybody or nobody. */
class Access {
  readonly attempts: Attempt[] = [];
  readonly concluded: string[] = [];
  allows = true;

  async admit(attempt: Attempt): Promise<Admission> {
    if (this.attempts.some(({ key }) => key === attempt.key)) return { verdict: "replayed" };
    this.attempts.push(attempt);
    return this.allows
      ? { verdict: "allowed", row: this.attempts.length, again: false, scopes: ["run:reply"] }
      : { verdict: "denied", row: this.attempts.length, again: false, reason: "missing_scope" };
  }

  async conclude(row: number, outcome: string): Promise<void> {
    this.concluded.push(`${row} ${outcome}`);
  }
}

interface Scene {
  board: TestBoard;
  access: Access;
  runId: string;
  link: RunLink;
  thread: string;
  write: (text: string, mention?: boolean) => Promise<void>;
}

async function scene(usually: "on" | undefined, listen?: boolean): Promise<Scene> {
  const { runId } = await startRun(deployStep({ runner: "codex" }).type);
  const link = await RunLink.claim(runId, 1, "runner-a");
  const access = new Access();
  const settings = { ...env, DISCORD_APPLICATION_ID: fake.app };
  if (usually !== undefined) settings.DISCORD_POLL_MESSAGES = usually;
  const board = TestBoard.onDiscord(fake, { access, env: settings });
  const [channel = ""] = await addChannels(fake, 1);
  await board.follows(discordPlace(channel), listen === undefined ? {} : { listen });
  await board.changed({ runId });
  const thread = (await look(fake)).threads.find(({ parent }) => parent === channel)?.id ?? "";
  const write = async (text: string, mention = true): Promise<void> => {
    await tell(fake, { do: "say", channel: thread, text, mention });
  };
  return { board, access, runId, link, thread, write };
}

const said = async (runId: string) => ((await runOf(runId)).messages ?? []).map(({ text }) => text);

describe("a message in a run's thread", () => {
  test("that mentions the bot is said to the run once, by whom and with his roles, also over a crash", async () => {
    const { board, access, runId, write } = await scene("on");
    await write("look at the tests");
    await write("just talking", false);
    await board.after(5_000);
    await board.crash();
    await board.after(5_000);
    await board.after(5_000);
    expect(await said(runId)).toEqual(["look at the tests"]);
    expect(access.attempts).toMatchObject([{ scope: "run:reply", act: "say", subject: runId }]);
    expect(access.attempts[0]?.tenant).toMatch(/^\d+$/);
    expect(access.concluded).toEqual(["1 said"]);
    expect((await look(fake)).faults).toEqual([]);
  });

  test.each([
    ["the owner of the server", {}, true],
    ["whoever has a role that is one", { role: "own", permissions: "8" }, true],
    ["everybody, where everybody is one", { role: "everyone", permissions: "4294967304" }, true],
    ["nobody else", { role: "own", permissions: "4294967287" }, false],
  ] as const)("is an administrator's as an interaction of his would be: %s", async (_who, standing, is) => {
    fake = await startDiscord({ limits: NO_LIMITS });
    await tell(fake, { do: "promote", ...standing });
    const { board, access, write, runId } = await scene("on");
    await write("look at the tests");
    await board.after(5_000);
    expect(access.attempts.map(({ administrator }) => administrator)).toEqual([is]);
    expect(access.attempts[0]?.roles).toHaveLength("role" in standing && standing.role === "own" ? 1 : 0);
    expect(await said(runId)).toEqual(["look at the tests"]);
    expect((await look(fake)).faults).toEqual([]);
  });

  test("waits while it cannot be known who wrote it", async () => {
    const { board, access, write, runId } = await scene("on");
    await write("look at the tests");
    await tell(fake, { do: "misbehave", order: { route: "GET /guilds/{guild_id}", with: 503 } });
    await board.after(5_000);
    expect(access.attempts).toEqual([]);
    await board.after(60_000);
    expect(await said(runId)).toEqual(["look at the tests"]);
  });

  test("of somebody who may not is not said, and he is told so", async () => {
    const { board, access, runId, thread, write } = await scene("on");
    access.allows = false;
    await write("rm -rf");
    await board.after(5_000);
    await board.after(5_000);
    expect(await said(runId)).toEqual([]);
    const answers = inChannel(await look(fake), thread).filter(({ text }) => text.includes("may not say"));
    expect(answers).toHaveLength(1);
  });

  test("is judged by the roles that its writer has when it is read, not by those he had a moment ago", async () => {
    const { board, access, write } = await scene("on");
    for (const roles of [["5"], ["5", "6"], []]) {
      await tell(fake, { do: "set roles", roles });
      await write(`as ${roles.join()}`);
      await board.after(5_000);
    }
    expect(access.attempts.map(({ roles }) => roles)).toEqual([["5"], ["5", "6"], []]);
  });

  test("is not asked for where nobody wants it, and is where one channel does", async () => {
    const off = await scene(undefined);
    await off.write("hello");
    await off.board.after(5_000);
    expect(await said(off.runId)).toEqual([]);
    expect(await off.board.inside((life) => life.board.status())).toEqual({
      shownRuns: 1,
      polling: { usually: false, threads: 0 },
    });
    const on = await scene(undefined, true);
    await on.write("hello");
    await on.board.after(5_000);
    expect(await said(on.runId)).toEqual(["hello"]);
    expect(await on.board.inside((life) => life.board.status())).toEqual({
      shownRuns: 1,
      polling: { usually: false, threads: 1 },
    });
  });

  test("is asked for no longer when nothing has happened for half an hour, or the run is over", async () => {
    const { board, link, runId } = await scene("on");
    await board.after(30 * 60_000);
    expect(await board.inside((life) => life.board.status().polling)).toEqual({
      usually: true,
      threads: 0,
    });
    await link.complete();
    await board.changed({ runId });
    const reads = async () => (await look(fake)).requests.filter(({ method }) => method === "GET").length;
    const before = await reads();
    await board.after(5_000);
    expect(await reads()).toBe(before);
  });
});
