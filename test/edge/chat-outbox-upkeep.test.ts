/** What is forgotten, and when: never what somebody comes back to, however many messages came after it. */
import { expect, test } from "vitest";
import { anchorOfCard, keyOfApproval } from "../../durable-objects/chat-outbox/board/effects.ts";
import { CARDS_KEPT_MS, KEYS_KEPT_MS } from "../../durable-objects/chat-outbox/delivery/rows.ts";
import { BoardLife } from "./support/board.ts";
import { startRun } from "./support/api.ts";
import { deployStep } from "./support/flow-catalog.ts";
import { ownDiscord } from "./support/own-fakes.ts";
import { discordPlace, says, withDiscord, type TestOutbox } from "./support/outbox.ts";

const nobody = (): boolean => false;

function keys({ storage }: TestOutbox): string[] {
  return storage.sql
    .exec<{ key: string }>("SELECT key FROM message ORDER BY key")
    .toArray()
    .map(({ key }) => key);
}

test("of too many rows, those that were touched longest ago go, not those that were made first", async () => {
  const fake = await ownDiscord();
  await withDiscord(fake, async (outbox) => {
    const place = discordPlace(fake.text);
    outbox.delivery.card("old", place, says("running"));
    for (const key of ["a", "b", "c"]) outbox.delivery.post(key, place, "event", says(key));
    await outbox.hurry();
    outbox.advance(60_000);
    outbox.delivery.card("old", place, says("still running"), { urgent: true });
    await outbox.hurry();
    outbox.rows.prune(outbox.now(), nobody, 2);
    expect(keys(outbox)).toEqual(["card:old", "post:c"]);
  });
});

test("cards and approvals of runs that are not over stay, and nothing else of them", async () => {
  const fake = await ownDiscord();
  const { runId } = await startRun(deployStep().type);
  await withDiscord(fake, async (outbox) => {
    const { board } = new BoardLife(outbox, "discord");
    const place = discordPlace(fake.text);
    const where = `discord:${fake.text}`;
    board.present(runId, { place, user: { id: "1", name: "ada" } });
    for (const run of [runId, "run_0123456789abcdef_1"]) {
      outbox.delivery.card(anchorOfCard(run, where), place, says("running"));
      outbox.delivery.post(keyOfApproval(run, where, "ap1"), place, "event", says("may it?"));
      outbox.delivery.post(`items|${run}|${where}|1.1|0`, place, "event", says("I work"));
    }
    await outbox.hurry();
    outbox.rows.prune(outbox.now() + CARDS_KEPT_MS + KEYS_KEPT_MS, (key) => board.needs(key));
    expect(keys(outbox)).toEqual([
      `card:${anchorOfCard(runId, where)}`,
      `post:${keyOfApproval(runId, where, "ap1")}`,
    ]);
  });
});

test("it is done once an hour, by an object that never lives that long, too", async () => {
  const fake = await ownDiscord();
  await withDiscord(fake, async (outbox) => {
    const place = discordPlace(fake.text);
    outbox.delivery.post("first", place, "event", says("first"));
    await outbox.hurry();
    for (let hour = 0; hour <= KEYS_KEPT_MS / 3_600_000; hour += 1) {
      outbox.advance(3_600_000);
      outbox.restart();
      await outbox.sender.drain();
    }
    expect(keys(outbox)).toEqual([]);
  });
});
