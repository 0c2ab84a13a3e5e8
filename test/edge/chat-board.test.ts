/** Runs in channels, from real event objects to a Discord that checks what it is sent: what is told twice, cut off, late or gone. */
import { runInDurableObject } from "cloudflare:test";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { AgentItem } from "../../contract/agent-item.ts";
import type { ApprovalRequest } from "../../contract/approvals.ts";
import type { FlowStep } from "../../contract/flow-manifest.ts";
import type { RunRecord } from "../../contract/run-record.ts";
import { LOOK_GAP_MS } from "../../durable-objects/chat-outbox/board/rules.ts";
import { NO_LIMITS } from "../support/fake-discord/options.ts";
import type { SeenChats, SeenMessage } from "../support/chat-fakes/orders.ts";
import { call, expectJson, rewriteRun, runStub, startRun, untilWaiting } from "./support/api.ts";
import { TestBoard } from "./support/board.ts";
import { addChannels, inChannel, look, startDiscord, type DiscordFake } from "./support/chat-fakes.ts";
import { FakeRunner, RunLink } from "./support/fake-runner.ts";
import { deployStep } from "./support/flow-catalog.ts";
import { discordPlace } from "./support/outbox.ts";
import { closeSockets } from "./support/socket.ts";
import { endObjects } from "./support/tidy.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const ADA = { id: "77", name: "ada" };
const ADA_RINGS = "user:77";
const UNKNOWN = "run_0123456789abcdef_1";

let fake: DiscordFake;
beforeAll(async () => {
  fake = await startDiscord({ limits: NO_LIMITS });
});
afterEach(closeSockets);
afterAll(endObjects);

async function running(more: Partial<FlowStep> = {}): Promise<{ runId: string; link: RunLink }> {
  const { runId } = await startRun(deployStep({ runner: "codex", ...more }).type);
  return { runId, link: await RunLink.claim(runId, 1, "runner-a") };
}

async function ask(link: RunLink, change: Partial<ApprovalRequest> = {}): Promise<void> {
  link.seq += 1;
  const request: ApprovalRequest = {
    id: "ap1",
    kind: "command",
    title: "git push",
    decisions: ["accept", "decline"],
    ...change,
  };
  link.tell({ type: "approval", seq: link.seq, request });
  await link.acked(link.seq);
}

async function sendItems(link: RunLink, items: AgentItem[]): Promise<void> {
  link.tell({ type: "output", chunks: items.map((item) => link.chunk(JSON.stringify(item), "agent")) });
  await link.acked(link.seq);
}

/** A board, and a channel of its own where nothing else is shown. */
async function withBoard(act: (board: TestBoard, channel: string) => Promise<void>): Promise<void> {
  const [channel = ""] = await addChannels(fake, 1);
  await act(TestBoard.onDiscord(fake), channel);
  expect((await look(fake)).faults).toEqual([]);
}

/** What stands in the threads of a channel, oldest first. */
function inThreads(seen: SeenChats, channel: string): SeenMessage[] {
  return seen.threads.filter(({ parent }) => parent === channel).flatMap(({ id }) => inChannel(seen, id));
}

function titles(messages: SeenMessage[]): string[] {
  return messages.map(({ text }) =>
    (text.split("\n").find((line) => line.startsWith("### ")) ?? text).slice(4),
  );
}

describe("a run in a channel that follows its flow", () => {
  test("has a thread with one card, and one end, however often it is said to have changed", async () => {
    const { runId, link } = await running();
    await withBoard(async (board, channel) => {
      await board.follows(discordPlace(channel));
      for (let time = 0; time < 10; time += 1) await board.changed({ runId });
      await link.complete({ status: "completed", message: "all is well" });
      for (let time = 0; time < 10; time += 1) await board.changed({ runId });
      const seen = await look(fake);
      expect(titles(inThreads(seen, channel))).toEqual(["lab · done", "lab · done"]);
      const [card, end] = inThreads(seen, channel);
      expect(card?.history.map((text) => text.split("\n")[0])).toEqual([
        "### lab · running",
        "### lab · done",
      ]);
      expect(end?.text).toContain("all is well");
      expect(await board.inside((life) => life.board.status())).toEqual({ shownRuns: 0 });
    });
  });

  test("that ended before its thread exists says so in it all the same", async () => {
    const { runId, link } = await running();
    await link.complete({ status: "blocked", message: "no way" });
    await withBoard(async (board, channel) => {
      await board.follows(discordPlace(channel));
      await board.changed({ runId });
      expect(titles(inThreads(await look(fake), channel))).toEqual(["lab · blocked", "lab · blocked"]);
    });
  });

  test("is drawn by the next life of an outbox that crashed before it looked", async () => {
    const { runId } = await running();
    await withBoard(async (board, channel) => {
      await board.follows(discordPlace(channel));
      await board.told({ runId });
      await board.crash();
      expect(await board.inside((life) => life.dueIn)).toBeLessThanOrEqual(0);
      await board.after(0);
      expect(titles(inThreads(await look(fake), channel))).toEqual(["lab · running"]);
    });
  });

  test("is sent by the next life of an outbox that crashed between drawing and sending, once", async () => {
    const { runId, link } = await running();
    await ask(link);
    await withBoard(async (board, channel) => {
      await board.follows(discordPlace(channel));
      await board.told({ runId });
      await board.inside((life) => life.board.tick());
      await board.crash();
      await board.changed({ runId });
      expect(titles(inThreads(await look(fake), channel)).sort()).toEqual([
        "lab asks to run a command",
        "lab · waits for an approval",
      ]);
    });
  });

  test("that changes twice while somebody looks at it ends up as it is, by one more look", async () => {
    const { runId, link } = await running();
    await withBoard(async (board, channel) => {
      await board.follows(discordPlace(channel));
      await link.result({ status: "changed" });
      await board.inside(async (life) => {
        const notice = { runId, flow: "lab", eventType: "own" };
        life.board.runChanged(notice);
        const ticking = life.board.tick();
        life.board.runChanged(notice);
        life.board.runChanged(notice);
        await ticking;
        expect(life.dueIn).toBeLessThanOrEqual(LOOK_GAP_MS);
      });
      await link.end();
      await board.after(1_000);
      expect(titles(inThreads(await look(fake), channel))).toEqual([
        "lab · done, with changes",
        "lab · done, with changes",
      ]);
      expect(await board.inside((life) => life.board.status())).toEqual({ shownRuns: 0 });
    });
  });

  test("whose name is markdown, and whose words look like a secret, is shown as it is and rings nobody", async () => {
    const { runId, link } = await running();
    await link.complete({ status: "completed", message: "`sk-1_2_3` **x** @everyone <@77>" });
    await withBoard(async (board, channel) => {
      await board.follows(discordPlace(channel), { flows: ["*"] });
      await board.changed({ runId, flow: "**lab**" });
      const seen = inThreads(await look(fake), channel);
      expect(seen.at(-1)?.text).toContain("\\`sk-1\\_2\\_3\\` \\*\\*x\\*\\* \\@everyone \\<\\@77\\>");
      expect(seen.flatMap(({ rings }) => rings)).toEqual([]);
    });
  });

  test("waits for its runner, says why, and shows when it has started", async () => {
    const { type, pool } = deployStep();
    const { runId } = await startRun(type);
    await untilWaiting(pool, runId);
    await withBoard(async (board, channel) => {
      await board.follows(discordPlace(channel));
      await board.changed({ runId });
      const card = async () => inThreads(await look(fake), channel)[0]?.text;
      expect(await card()).toContain(`no runner of pool ${pool} is connected`);
      const runner = await FakeRunner.connect(pool, { name: "attic" });
      await runner.start(runId);
      await board.changed({ runId });
      expect(await card()).toContain("lab · running");
      expect(await card()).not.toContain("no runner");
    });
  });

  test("canceled while it waits says by whom", async () => {
    const { runId } = await startRun(deployStep().type);
    await withBoard(async (board, channel) => {
      await board.follows(discordPlace(channel));
      await board.changed({ runId });
      await expectJson(call("POST", `/runs/${runId}/cancel`, { body: { by: "ada" } }), 202);
      await board.changed({ runId });
      expect(inThreads(await look(fake), channel)[0]?.text).toContain("Canceled by ada before it started");
    });
  });

  test("has its thread closed an hour after its end, and is forgotten days later", async () => {
    const { runId, link } = await running();
    await withBoard(async (board, channel) => {
      await board.follows(discordPlace(channel));
      await board.changed({ runId });
      await link.complete();
      await board.changed({ runId });
      const thread = async () => (await look(fake)).threads.find(({ parent }) => parent === channel);
      const place = discordPlace(channel, (await thread())?.id ?? "");
      await board.after(HOUR_MS - 5_000);
      expect(await thread()).toMatchObject({ archived: false });
      await board.after(10_000);
      expect(await thread()).toMatchObject({ archived: true });
      expect(await board.inside((life) => life.board.runOfThread(place))).toBe(runId);
      await board.after(14 * DAY_MS);
      expect(await board.inside((life) => life.board.runsOfChannel(place))).toEqual([]);
      expect(await board.inside((life) => life.dueIn)).toBeUndefined();
    });
  });
});

describe("a run that nobody wants to see", () => {
  test("costs nothing: nothing is looked at, nothing written", async () => {
    await withBoard(async (board, channel) => {
      expect(await board.told({ runId: UNKNOWN })).toBe(false);
      await board.inside(({ outbox }) => {
        expect([...outbox.storage.kv.list()]).toEqual([]);
      });
      await board.follows(discordPlace(channel), { flows: ["other"] });
      expect(await board.told({ runId: UNKNOWN })).toBe(false);
      await board.inside((life) => {
        expect([life.wakes, life.rows("shown_run"), life.rows("showing")]).toEqual([[], 0, 0]);
      });
    });
  });

  test("or that does not exist, is forgotten when it was looked at", async () => {
    await withBoard(async (board, channel) => {
      await board.inside((life) => {
        life.board.present(UNKNOWN, { place: discordPlace(channel), user: ADA });
      });
      await board.after(1_000);
      await board.inside((life) => {
        expect([life.rows("shown_run"), life.rows("showing")]).toEqual([0, 0]);
      });
      expect(inChannel(await look(fake), channel)).toEqual([]);
    });
  });
});

describe("an approval", () => {
  test("in three places is answered in all of them by one decision, and rings its requester once", async () => {
    const { runId, link } = await running();
    await ask(link, { detail: "git push origin main", dangerous: true });
    const [second = "", third = ""] = await addChannels(fake, 2);
    await withBoard(async (board, channel) => {
      for (const one of [channel, second])
        await board.follows(discordPlace(one), { threads: one === channel });
      const origin = { place: discordPlace(third), user: ADA };
      await board.changed({ runId, origin });
      const asked = async () => {
        const seen = await look(fake);
        return [channel, second, third].flatMap((one) =>
          [...inChannel(seen, one), ...inThreads(seen, one)].filter(({ text }) => /lab ask(s|ed)/.test(text)),
        );
      };
      const before = await asked();
      expect(before).toHaveLength(3);
      expect(before.flatMap(({ rings }) => rings)).toEqual([ADA_RINGS]);
      for (const { text } of before) expect(text).toContain("git push origin main");
      await expectJson(
        call("POST", `/runs/${runId}/approvals/ap1`, {
          body: { decision: "accept", by: "bob", confirm: true },
        }),
        200,
      );
      await board.changed({ runId });
      await board.changed({ runId });
      const after = await asked();
      expect(after.map(({ id }) => id)).toEqual(before.map(({ id }) => id));
      for (const { text, edits } of after) {
        expect(text).toContain("Approved by bob");
        expect(edits).toBe(1);
      }
    });
  });

  test("of a run that its retention deleted is over, and its card says that it is gone", async () => {
    const { runId, link } = await running();
    await ask(link);
    await withBoard(async (board, channel) => {
      await board.follows(discordPlace(channel), { threads: false });
      await board.changed({ runId });
      await runInDurableObject(runStub(runId), (_instance, { storage }) => storage.deleteAll());
      await board.changed({ runId });
      const texts = inChannel(await look(fake), channel).map(({ text }) => text);
      expect(texts).toHaveLength(2);
      expect(texts.join("\n")).toContain("lab · no longer stored");
      expect(texts.join("\n")).toContain("Withdrawn: the step no longer waits for an answer");
    });
  });
});

describe("whoever asked for a run", () => {
  test("is told once how it ended, where he asked", async () => {
    const { runId, link } = await running();
    await withBoard(async (board, channel) => {
      const origin = { place: discordPlace(channel), user: ADA };
      await board.changed({ runId, origin });
      await link.complete({ status: "needs_intervention", message: "look here" });
      await board.changed({ runId, origin });
      await board.changed({ runId, origin });
      const seen = inThreads(await look(fake), channel);
      expect(seen.filter(({ rings }) => rings.includes(ADA_RINGS))).toHaveLength(1);
      expect(seen.at(-1)?.text).toContain("look here");
    });
  });

  test("finds it by its thread, and among the newest of the channel", async () => {
    const first = await running();
    const second = await running();
    await withBoard(async (board, channel) => {
      await board.follows(discordPlace(channel));
      await board.changed({ runId: first.runId });
      await board.changed({ runId: second.runId });
      const ids = (await look(fake)).threads.filter(({ parent }) => parent === channel).map(({ id }) => id);
      await board.inside((life) => {
        const runOf = (thread?: string) => life.board.runOfThread(discordPlace(channel, thread));
        expect(life.board.runsOfChannel(discordPlace(channel))).toEqual([second.runId, first.runId]);
        expect(new Set(ids.map(runOf))).toEqual(new Set([first.runId, second.runId]));
        expect([runOf("1"), runOf()]).toEqual([undefined, undefined]);
      });
    });
  });

  test("and wants to see an old run is shown it, but not told again that it is over", async () => {
    const { runId, link } = await running();
    await link.complete();
    await rewriteRun(runId, (run) => ({ ...run, completedAt: Date.now() - DAY_MS }));
    await withBoard(async (board, channel) => {
      const [people = ""] = await addChannels(fake, 1);
      await board.inside((life) => {
        life.board.present(runId, { place: discordPlace(people), user: ADA });
      });
      await board.after(1_000);
      expect(titles(inThreads(await look(fake), people))).toEqual(["lab · done"]);
      expect(inChannel(await look(fake), channel)).toEqual([]);
    });
  });
});

describe("a card that somebody follows", () => {
  test("moves with its output, and no longer when the time is over", async () => {
    const { runId, link } = await running({ runner: "bun" });
    await withBoard(async (board, channel) => {
      await board.follows(discordPlace(channel), { output: "minimal" });
      await board.changed({ runId });
      expect(await board.inside((life) => life.dueIn)).toBeUndefined();
      await board.follows(discordPlace(channel));
      await board.inside(({ board: shows, outbox }) => {
        shows.follow(runId, discordPlace(channel), outbox.now() + 60_000);
      });
      for (const line of ["one", "two", "three"]) {
        await link.print(`${line}\n`);
        await board.after(3_000);
        expect(inThreads(await look(fake), channel)[0]?.text).toContain(line);
      }
      await board.after(60_000);
      const later = await board.inside((life) => life.dueIn);
      expect(later).toBeGreaterThan(3_000);
      expect(later).toBeLessThanOrEqual(30_000);
    });
  });
});

describe("an agent's work", () => {
  const work: AgentItem[] = [
    { type: "message", id: "m1", state: "completed", role: "agent", text: "I run the tests." },
    {
      type: "command",
      id: "c1",
      state: "completed",
      command: "npm test",
      cwd: ".",
      outcome: "completed",
      exitCode: 0,
      output: "ok 1\n",
    },
  ];

  test("is posted into its thread in verbose, once, also when the outbox crashes", async () => {
    const { runId, link } = await running();
    await sendItems(link, work);
    await withBoard(async (board, channel) => {
      await board.follows(discordPlace(channel), { output: "verbose" });
      await board.told({ runId });
      await board.inside((life) => life.board.tick());
      await board.crash();
      await board.after(5_000);
      await sendItems(link, [{ ...work[0], id: "m2", text: "All pass." } as AgentItem]);
      await board.after(5_000);
      const texts = inThreads(await look(fake), channel).map(({ text }) => text);
      expect(texts.filter((text) => text.startsWith("I run the tests."))).toHaveLength(1);
      expect(texts.filter((text) => text.startsWith("All pass."))).toHaveLength(1);
      expect(texts.join("\n")).toContain("$ npm test\nok 1");
    });
  });

  test("shows no bodies in safe mode", async () => {
    const { runId, link } = await running();
    await sendItems(link, work);
    await withBoard(async (board, channel) => {
      await board.follows(discordPlace(channel), { output: "verbose", safe: true });
      await board.changed({ runId });
      const text = inThreads(await look(fake), channel)
        .map((message) => message.text)
        .join("\n");
      expect(text).toContain("ran a command");
      expect(text).not.toMatch(/npm test|ok 1/);
    });
  });
});

test("an object that does not answer is asked again later, and nothing is lost meanwhile", async () => {
  const { runId } = await running();
  await withBoard(async (board, channel) => {
    await board.follows(discordPlace(channel));
    const attempts: RunRecord["attempts"][] = [];
    await rewriteRun(runId, (run) => {
      attempts.push(run.attempts);
      return { ...run, attempts: "broken" as unknown as RunRecord["attempts"] };
    });
    await board.changed({ runId });
    expect(inThreads(await look(fake), channel)).toEqual([]);
    expect(await board.inside((life) => life.dueIn)).toBeGreaterThan(0);
    await rewriteRun(runId, (run) => ({ ...run, attempts: attempts[0] ?? [] }));
    await board.after(5_000);
    expect(titles(inThreads(await look(fake), channel))).toEqual(["lab · running"]);
  });
});
