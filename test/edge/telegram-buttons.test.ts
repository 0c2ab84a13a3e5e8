/** Buttons in Telegram: old ones, those of others, two at once, and the second step of what is dangerous. */
import { describe, expect, test } from "vitest";
import { runOf } from "./support/api.ts";
import { auditOf, boundGroup, lastWords, message, person, press, saidIn, take } from "./support/telegram.ts";
import { action, askLeave, codexOfFile, RUN, startedRun } from "./support/telegram-runs.ts";

codexOfFile();

describe("a button", () => {
  test.each([
    ["of no version of ours", "v0:cancel:x"],
    ["without a run", "v1:cancel:"],
    ["of an act that is unknown", `v1:explode:${RUN}`],
    ["that is longer than any of ours", `v1:logs:${RUN}:${"x".repeat(100)}`],
    ["that is empty", ""],
  ])("%s is out of date", async (_, data) => {
    const { group, admin } = await boundGroup();
    expect(await take(press(group, admin, data))).toMatchObject({
      method: "answerCallbackQuery",
      text: "This button is out of date",
      show_alert: true,
    });
    expect((await auditOf(admin)).map(({ act, outcome }) => [act, outcome])).toMatchObject([
      ["/bind", "changed"],
      ["unknown button", "refused: out_of_date"],
    ]);
  });

  test("is asked for its scope at every press", async () => {
    const { group, admin } = await boundGroup();
    const { runId } = await startedRun(group);
    const eve = await person("eve", "run:read");
    expect(await take(press(group, eve, action("cancel", runId)))).toMatchObject({
      text: expect.stringContaining("may not") as unknown,
    });
    expect((await runOf(runId)).status).not.toBe("canceled");
    const ada = await person("ada", "run:reply");
    await take(message(group, admin, `/roles ${ada.id} none`));
    await take(press(group, ada, action("cancel", runId)));
    expect((await auditOf(ada)).at(-1)?.verdict).toBe("denied");
  });

  test("of a run that is gone says so", async () => {
    const { group, admin } = await boundGroup();
    for (const act of ["logs", "diff", "details", "replay", "follow", "cancel"] as const)
      expect(await take(press(group, admin, action(act, RUN)))).toMatchObject({ show_alert: true });
  });

  test("shows what there is to read in the chat, and says the rest to who pressed", async () => {
    const { group, admin } = await boundGroup();
    const { runId, link } = await startedRun(group);
    await link.print("hello from the step\n");
    await take(press(group, admin, action("logs", runId)));
    expect((await saidIn(group)).at(-1)?.code?.text).toContain("hello from the step");
    const said = (await saidIn(group)).length;
    expect(await take(press(group, admin, action("reply", runId)))).toMatchObject({
      text: expect.stringContaining("/say") as unknown,
    });
    expect(await saidIn(group)).toHaveLength(said);
  });
});

describe("an approval", () => {
  test("that two people press at once is decided once, and both are in the audit", async () => {
    const { group } = await boundGroup();
    const { runId, link } = await startedRun(group);
    await askLeave(link);
    const people = [await person("ada", "run:approve"), await person("grace", "run:approve")];
    const acts = ["approve", "deny"] as const;
    const toasts = await Promise.all(
      people.map((who, index) => take(press(group, who, action(acts[index] ?? "deny", runId, "a1-1")))),
    );
    const [approval] = (await runOf(runId)).approvals ?? [];
    expect(approval?.state).toBe("decided");
    const winner = people.findIndex(({ id }) => approval?.decidedBy?.includes(String(id)));
    expect(String(toasts[winner]?.["text"])).toMatch(/^(Approved|Denied) by /);
    expect(String(toasts[1 - winner]?.["text"])).toMatch(/^Already (approved|denied) by /);
    const outcomes = await Promise.all(people.map(async (who) => (await auditOf(who)).at(-1)?.outcome));
    expect(outcomes[winner]).toMatch(/^decided a1-1/);
    expect(outcomes[1 - winner]).toMatch(/^too late for a1-1/);
  });

  test("that leaves the sandbox asks a second time, and only who was asked can say yes", async () => {
    const { group } = await boundGroup();
    const { runId, link } = await startedRun(group);
    await askLeave(link, true);
    const ada = await person("ada", "run:approve");
    const eve = await person("eve", "run:approve");
    await take(press(group, ada, action("approve", runId, "a1-1")));
    expect((await runOf(runId)).approvals?.[0]?.state).toBe("pending");
    const [row = []] = (await saidIn(group)).at(-1)?.buttons ?? [];
    expect(row.map(({ label }) => label)).toEqual(["Yes, run it", "No"]);
    const yes = row[0]?.action ?? "";
    expect(await take(press(group, eve, yes))).toMatchObject({
      text: expect.stringContaining("Somebody else") as unknown,
    });
    expect((await runOf(runId)).approvals?.[0]?.state).toBe("pending");
    await take(press(group, ada, yes));
    expect((await runOf(runId)).approvals?.[0]).toMatchObject({ state: "decided", decision: "accept" });
  });

  test.each([
    ["Yes, run it", /^Approved by ada$/],
    ["No", /^Denied by ada$/],
  ])(
    "whose second step was answered with %s says so in its place, with nothing to press",
    async (label, says) => {
      const { group } = await boundGroup();
      const { runId, link } = await startedRun(group);
      await askLeave(link, true);
      const ada = await person("ada", "run:approve");
      await take(press(group, ada, action("approve", runId, "a1-1")));
      const asked = await saidIn(group);
      const answer = asked
        .at(-1)
        ?.buttons?.flat()
        .find((button) => button.label === label);
      await take(press(group, ada, answer?.action ?? ""));
      const after = await saidIn(group);
      expect(after).toHaveLength(asked.length);
      expect(after.at(-1)).toMatchObject({
        title: expect.stringMatching(says) as unknown,
        lines: ["git push"],
      });
      expect(after.at(-1)).not.toHaveProperty("buttons");
    },
  );

  test("that somebody else decides, elsewhere, leaves no second step with buttons in any chat", async () => {
    const { group } = await boundGroup();
    const other = (await boundGroup()).group;
    const { runId, link } = await startedRun(group);
    await askLeave(link, true);
    const ada = await person("ada", "run:approve");
    for (const chat of [group, other]) await take(press(chat, ada, action("approve", runId, "a1-1")));
    const bob = await person("bob", "run:approve");
    await take(press((await boundGroup()).group, bob, action("deny", runId, "a1-1")));
    for (const chat of [group, other]) {
      const last = (await saidIn(chat)).at(-1);
      expect(last?.title).toMatch(/^Denied by bob$/);
      expect(last).not.toHaveProperty("buttons");
    }
  });

  test("is answered in words too, without its id when it is the only one", async () => {
    const { group } = await boundGroup();
    const { runId, link } = await startedRun(group);
    const ada = await person("ada", "run:approve");
    await take(message(group, ada, `/approve ${runId}`));
    expect(await lastWords(group)).toContain("no pending approvals");
    await askLeave(link);
    await take(message(group, ada, `/deny ${runId}`));
    expect((await runOf(runId)).approvals?.[0]).toMatchObject({ state: "decided", decision: "decline" });
  });
});
