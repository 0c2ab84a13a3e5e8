/**
 * Three people press Approve and Deny at the same moment, in Discord and in Telegram: one decision, three rows in the audit, and
 * every message of both says who decided.
 */
import { expect, test } from "vitest";
import { nameIn } from "../../durable-objects/chat-outbox/board/cards.ts";
import { NO_LIMITS } from "../support/fake-telegram/options.ts";
import { runOf } from "./support/api.ts";
import { TestBoard } from "./support/board.ts";
import { ADA, ADA_RINGS, askLeave, discordOfFile, running } from "./support/board-scene.ts";
import { addChannels, inChannel, look, startTelegram } from "./support/chat-fakes.ts";
import * as discord from "./support/discord.ts";
import { discordPlace, telegramPlace } from "./support/outbox.ts";
import * as telegram from "./support/telegram.ts";
import { action } from "./support/telegram-runs.ts";

const scene = discordOfFile();

test.each([
  ["approve", "deny", "approve"],
  ["deny", "approve", "deny"],
] as const)("%s and %s in Discord, %s in Telegram", async (first, second, third) => {
  const telegramFake = await startTelegram({ limits: NO_LIMITS });
  const [channel = ""] = await addChannels(scene.fake, 1);
  const boards = [TestBoard.onDiscord(scene.fake), TestBoard.onTelegram(telegramFake)] as const;
  const { runId, link } = await running();
  await askLeave(link);
  await boards[0].follows(discordPlace(channel), { threads: false });
  await boards[1].follows(telegramPlace(telegramFake.chat), { threads: false });
  await boards[0].changed({ runId, origin: { place: discordPlace(channel), user: ADA } });
  await boards[1].changed({ runId });
  const asked = async () => [
    ...inChannel(await look(scene.fake), channel),
    ...inChannel(await look(telegramFake), telegramFake.chat),
  ];
  const decidable = ({ buttons }: { buttons: string[] }) =>
    buttons.some((one) => /^v1:(approve|deny):/.test(one));
  // In each: the card, and the message that asks. The requester is rung, and nobody else.
  expect((await asked()).map(decidable)).toEqual([true, true, true, true]);
  expect((await asked()).flatMap(({ rings }) => rings)).toEqual([ADA_RINGS]);

  const server = await discord.newServer();
  const role = await discord.roleWith(server, ["run:approve"]);
  const [ada, ben] = [discord.person("ada", [role]), discord.person("ben", [role])];
  const { group } = await telegram.boundGroup();
  const cleo = await telegram.person("cleo", "run:approve");
  const [one, two, three] = await Promise.all([
    discord.answered(discord.button(`v1:${first}:${runId}:ap1`, { server, by: ada })),
    discord.answered(discord.button(`v1:${second}:${runId}:ap1`, { server, by: ben })),
    telegram.take(telegram.press(group, cleo, action(third, runId, "ap1"))),
  ]);

  const [approval, ...others] = (await runOf(runId)).approvals ?? [];
  expect(others).toEqual([]);
  const by = approval?.decidedBy ?? "";
  expect(approval).toMatchObject({ state: "decided" });
  expect(await link.next("decided")).toMatchObject({ id: "ap1", by });
  const word = approval?.decision === "accept" ? "Approved" : "Denied";
  for (const said of [one.text, two.text, String(three["text"])]) {
    expect(said.toLowerCase()).toContain(`${word.toLowerCase()} by`);
    expect(said).toContain(` by ${nameIn(by)}`);
  }

  const rows = [...(await discord.auditOf(server)), ...(await telegram.auditOf(cleo))];
  expect(rows.map(({ verdict, subject }) => [verdict, subject])).toEqual(Array(3).fill(["allowed", runId]));
  const outcomes = rows.map(({ outcome = "" }) => outcome.split(" ")[0]).sort();
  expect(outcomes).toEqual(["decided", "too", "too"]);

  const before = await asked();
  for (const board of boards) await board.changed({ runId });
  const after = await asked();
  expect(after.map(({ id }) => id)).toEqual(before.map(({ id }) => id));
  expect(after.some(decidable)).toBe(false);
  const decided = after.filter(({ text }) => text.replaceAll("\\", "").includes(`${word} by ${nameIn(by)}`));
  expect(decided.map(({ edits }) => edits)).toEqual([1, 1]);
  expect((await look(telegramFake)).faults).toEqual([]);
});
