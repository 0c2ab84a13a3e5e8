/** Who is kept waiting in the outbox, and by whom: a call that comes as a drain ends, runs beside one whose object hangs. */
import { env } from "cloudflare:workers";
import { afterAll, afterEach, expect, test } from "vitest";
import { parseRunId } from "../../contract/ids.ts";
import { NO_LIMITS } from "../support/fake-discord/options.ts";
import { startRun } from "./support/api.ts";
import { TestBoard } from "./support/board.ts";
import { inChannel, look, startDiscord } from "./support/chat-fakes.ts";
import { deployStep } from "./support/flow-catalog.ts";
import { discordPlace, says, withDiscord } from "./support/outbox.ts";
import { closeSockets } from "./support/socket.ts";
import { endObjects } from "./support/tidy.ts";

afterEach(closeSockets);
afterAll(endObjects);

test("a message that is wished for at any moment of a drain's end is sent before its own drain is over", async () => {
  const fake = await startDiscord({ limits: NO_LIMITS });
  const moments = Array.from({ length: 8 }, (_unused, turns) => turns);
  await withDiscord(fake, async ({ delivery, sender }) => {
    for (const turns of moments) {
      void sender.drain();
      for (let turn = 0; turn < turns; turn += 1) await Promise.resolve();
      delivery.post(`${turns}`, discordPlace(fake.text), "event", says(`after ${turns}`));
      await sender.drain();
      expect(inChannel(await look(fake), fake.text).length, `${turns} turns after`).toBe(turns + 1);
    }
  });
});

test("a run whose object hangs keeps no other from being looked at, and what that has to say from being sent", async () => {
  const fake = await startDiscord({ limits: NO_LIMITS });
  const { type } = deployStep();
  const [hanging, other] = [await startRun(type), await startRun(type)];
  const hung = parseRunId(hanging.runId)?.eventKey;
  let asked = (): void => undefined;
  const isAsked = new Promise<void>((resolve) => (asked = resolve));
  const events = {
    getByName: (name: string) => {
      if (name !== hung) return env.EVENTS.getByName(name);
      asked();
      return { glance: () => new Promise(() => undefined) };
    },
  } as unknown as typeof env.EVENTS;
  let said = 0;
  const board = TestBoard.onDiscord(fake, { env: { ...env, EVENTS: events }, said: () => (said += 1) });
  await board.follows(discordPlace(fake.text), { threads: false });
  await board.inside(async (life) => {
    const notice = { flow: "lab", eventType: type };
    life.board.runChanged({ ...notice, runId: hanging.runId });
    void life.board.tick();
    await isAsked;
    life.board.runChanged({ ...notice, runId: other.runId });
    while (said === 0) await new Promise((resolve) => setTimeout(resolve, 10));
    await life.outbox.sender.drain();
  });
  expect(inChannel(await look(fake), fake.text).map(({ text }) => text)).toEqual([
    expect.stringContaining(other.runId.replaceAll("_", "\\_")),
  ]);
});
