/** Runs in a channel that follows their flow, in a Discord that checks what it is sent: what is told twice, cut off, late or gone. */
import { describe, expect, test } from "vitest";
import type { RunRecord } from "../../contract/run-record.ts";
import { LOOK_GAP_MS } from "../../durable-objects/chat-outbox/board/rules.ts";
import { call, expectJson, rewriteRun, startRun, untilWaiting } from "./support/api.ts";
import {
  ADA,
  askLeave,
  discordOfFile,
  inThreads,
  running,
  titles,
  withBoard,
} from "./support/board-scene.ts";
import { inChannel, look } from "./support/chat-fakes.ts";
import { FakeRunner } from "./support/fake-runner.ts";
import { deployStep } from "./support/flow-catalog.ts";
import { discordPlace } from "./support/outbox.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * 3_600_000;
const UNKNOWN = "run_0123456789abcdef_1";

const scene = discordOfFile();

describe("a run in a channel that follows its flow", () => {
  test("has a thread with one card, and one end, however often it is said to have changed", async () => {
    const { runId, link } = await running();
    await withBoard(scene.fake, async (board, channel) => {
      await board.follows(discordPlace(channel));
      for (let time = 0; time < 10; time += 1) await board.changed({ runId });
      await link.complete({ status: "completed", message: "all is well" });
      for (let time = 0; time < 10; time += 1) await board.changed({ runId });
      const seen = await look(scene.fake);
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
    await withBoard(scene.fake, async (board, channel) => {
      await board.follows(discordPlace(channel));
      await board.changed({ runId });
      expect(titles(inThreads(await look(scene.fake), channel))).toEqual(["lab · blocked"]);
    });
  });

  test("is drawn by the next life of an outbox that crashed before it looked", async () => {
    const { runId } = await running();
    await withBoard(scene.fake, async (board, channel) => {
      await board.follows(discordPlace(channel));
      await board.told({ runId });
      await board.crash();
      expect(await board.inside((life) => life.dueIn)).toBeLessThanOrEqual(0);
      await board.after(0);
      expect(titles(inThreads(await look(scene.fake), channel))).toEqual(["lab · running"]);
    });
  });

  test("is sent by the next life of an outbox that crashed between drawing and sending, once", async () => {
    const { runId, link } = await running();
    await askLeave(link);
    await withBoard(scene.fake, async (board, channel) => {
      await board.follows(discordPlace(channel));
      await board.told({ runId });
      await board.inside((life) => life.board.tick());
      await board.crash();
      await board.changed({ runId });
      expect(titles(inThreads(await look(scene.fake), channel)).sort()).toEqual([
        "lab asks to run a command",
        "lab · waiting for approval",
      ]);
    });
  });

  test("that changes twice while somebody looks at it ends up as it is, by one more look", async () => {
    const { runId, link } = await running();
    await withBoard(scene.fake, async (board, channel) => {
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
      expect(titles(inThreads(await look(scene.fake), channel))).toEqual(["lab · done, with changes"]);
      expect(await board.inside((life) => life.board.status())).toEqual({ shownRuns: 0 });
    });
  });

  test("whose name is markdown, and whose words look like a secret, is shown as it is and rings nobody", async () => {
    const { runId, link } = await running();
    await link.complete({ status: "completed", message: "`sk-1_2_3` **x** @everyone <@77>" });
    await withBoard(scene.fake, async (board, channel) => {
      await board.follows(discordPlace(channel), { flows: ["*"] });
      await board.changed({ runId, flow: "**lab**" });
      const seen = inThreads(await look(scene.fake), channel);
      expect(seen.at(-1)?.text).toContain("`sk-1_2_3` **x** \\@everyone \\<\\@77\\>");
      expect(seen.flatMap(({ rings }) => rings)).toEqual([]);
    });
  });

  test("waits for its runner, says why, and shows when it has started", async () => {
    const { type, pool } = deployStep();
    const { runId } = await startRun(type);
    await untilWaiting(pool, runId);
    await withBoard(scene.fake, async (board, channel) => {
      await board.follows(discordPlace(channel));
      await board.changed({ runId });
      const card = async () => inThreads(await look(scene.fake), channel)[0]?.text;
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
    await withBoard(scene.fake, async (board, channel) => {
      await board.follows(discordPlace(channel));
      await board.changed({ runId });
      await expectJson(call("POST", `/runs/${runId}/cancel`, { body: { by: "ada" } }), 202);
      await board.changed({ runId });
      expect(inThreads(await look(scene.fake), channel)[0]?.text).toContain(
        "Stopped by api: ada before it started",
      );
    });
  });

  test("has its thread closed an hour after its end, and is forgotten days later", async () => {
    const { runId, link } = await running();
    await withBoard(scene.fake, async (board, channel) => {
      await board.follows(discordPlace(channel));
      await board.changed({ runId });
      await link.complete();
      await board.changed({ runId });
      const thread = async () => (await look(scene.fake)).threads.find(({ parent }) => parent === channel);
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
    await withBoard(scene.fake, async (board, channel) => {
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
    await withBoard(scene.fake, async (board, channel) => {
      await board.inside((life) => {
        life.board.present(UNKNOWN, { place: discordPlace(channel), user: ADA });
      });
      await board.after(1_000);
      await board.inside((life) => {
        expect([life.rows("shown_run"), life.rows("showing")]).toEqual([0, 0]);
      });
      expect(inChannel(await look(scene.fake), channel)).toEqual([]);
    });
  });
});

test("an object that does not answer is asked again later, and nothing is lost meanwhile", async () => {
  const { runId } = await running();
  await withBoard(scene.fake, async (board, channel) => {
    await board.follows(discordPlace(channel));
    const attempts: RunRecord["attempts"][] = [];
    await rewriteRun(runId, (run) => {
      attempts.push(run.attempts);
      return { ...run, attempts: "broken" as unknown as RunRecord["attempts"] };
    });
    await board.changed({ runId });
    expect(inThreads(await look(scene.fake), channel)).toEqual([]);
    expect(await board.inside((life) => life.dueIn)).toBeGreaterThan(0);
    await rewriteRun(runId, (run) => ({ ...run, attempts: attempts[0] ?? [] }));
    await board.after(5_000);
    expect(titles(inThreads(await look(scene.fake), channel))).toEqual(["lab · running"]);
  });
});
