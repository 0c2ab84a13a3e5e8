/** What people have of a run that is shown: its approvals, how it ends, its output while they watch, an agent's work. */
import { runInDurableObject } from "cloudflare:test";
import { describe, expect, test } from "vitest";
import type { AgentItem } from "../../contract/agent-item.ts";
import { call, expectJson, rewriteRun, runStub } from "./support/api.ts";
import {
  ADA,
  ADA_RINGS,
  askLeave,
  discordOfFile,
  inThreads,
  running,
  sendItems,
  titles,
  withBoard,
} from "./support/board-scene.ts";
import { addChannels, inChannel, look } from "./support/chat-fakes.ts";
import { discordPlace } from "./support/outbox.ts";

const DAY_MS = 24 * 3_600_000;

const scene = discordOfFile();

describe("an approval", () => {
  test("in three places is answered in all of them by one decision, and rings its requester once", async () => {
    const { runId, link } = await running();
    await askLeave(link, { detail: "git push origin main", dangerous: true });
    const [second = "", third = ""] = await addChannels(scene.fake, 2);
    await withBoard(scene.fake, async (board, channel) => {
      for (const one of [channel, second])
        await board.follows(discordPlace(one), { threads: one === channel });
      const origin = { place: discordPlace(third), user: ADA };
      await board.changed({ runId, origin });
      const asked = async () => {
        const seen = await look(scene.fake);
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
        expect(text).toContain("Approved by api: bob");
        expect(edits).toBe(1);
      }
    });
  });

  test("of a run that its retention deleted is over, and its card says that it is gone", async () => {
    const { runId, link } = await running();
    await askLeave(link);
    await withBoard(scene.fake, async (board, channel) => {
      await board.follows(discordPlace(channel), { threads: false });
      await board.changed({ runId });
      await runInDurableObject(runStub(runId), (_instance, { storage }) => storage.deleteAll());
      await board.changed({ runId });
      const texts = inChannel(await look(scene.fake), channel).map(({ text }) => text);
      expect(texts).toHaveLength(2);
      expect(texts.join("\n")).toContain("lab · no longer stored");
      expect(texts.join("\n")).toContain("Withdrawn: the step no longer waits for an answer");
    });
  });
});

describe("whoever asked for a run", () => {
  test("is told once how it ended, where he asked", async () => {
    const { runId, link } = await running();
    await withBoard(scene.fake, async (board, channel) => {
      const origin = { place: discordPlace(channel), user: ADA };
      await board.changed({ runId, origin });
      await link.complete({ status: "needs_intervention", message: "look here" });
      await board.changed({ runId, origin });
      await board.changed({ runId, origin });
      const seen = inThreads(await look(scene.fake), channel);
      expect(seen.filter(({ rings }) => rings.includes(ADA_RINGS))).toHaveLength(1);
      expect(seen.at(-1)?.text).toContain("look here");
    });
  });

  test("finds it by its thread, and among the newest of the channel", async () => {
    const first = await running();
    const second = await running();
    await withBoard(scene.fake, async (board, channel) => {
      await board.follows(discordPlace(channel));
      await board.changed({ runId: first.runId });
      await board.changed({ runId: second.runId });
      const ids = (await look(scene.fake)).threads
        .filter(({ parent }) => parent === channel)
        .map(({ id }) => id);
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
    await withBoard(scene.fake, async (board, channel) => {
      const [people = ""] = await addChannels(scene.fake, 1);
      await board.inside((life) => {
        life.board.present(runId, { place: discordPlace(people), user: ADA });
      });
      await board.after(1_000);
      expect(titles(inThreads(await look(scene.fake), people))).toEqual(["lab · done"]);
      expect(inChannel(await look(scene.fake), channel)).toEqual([]);
    });
  });
});

describe("a card that somebody follows", () => {
  test("moves with its output, and no longer when the time is over", async () => {
    const { runId, link } = await running({ runner: "bun" });
    await withBoard(scene.fake, async (board, channel) => {
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
        expect(inThreads(await look(scene.fake), channel)[0]?.text).toContain(line);
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
    await withBoard(scene.fake, async (board, channel) => {
      await board.follows(discordPlace(channel), { output: "verbose" });
      await board.told({ runId });
      await board.inside((life) => life.board.tick());
      await board.crash();
      await board.after(5_000);
      await sendItems(link, [{ ...work[0], id: "m2", text: "All pass." } as AgentItem]);
      await board.after(5_000);
      const texts = inThreads(await look(scene.fake), channel).map(({ text }) => text);
      expect(texts.filter((text) => text.startsWith("I run the tests."))).toHaveLength(1);
      expect(texts.filter((text) => text.startsWith("All pass."))).toHaveLength(1);
      expect(texts.join("\n")).toContain("$ npm test\nok 1");
    });
  });

  test("shows no bodies in safe mode", async () => {
    const { runId, link } = await running();
    await sendItems(link, work);
    await withBoard(scene.fake, async (board, channel) => {
      await board.follows(discordPlace(channel), { output: "verbose", safe: true });
      await board.changed({ runId });
      const text = inThreads(await look(scene.fake), channel)
        .map((message) => message.text)
        .join("\n");
      expect(text).toContain("ran a command");
      expect(text).not.toMatch(/npm test|ok 1/);
    });
  });
});
