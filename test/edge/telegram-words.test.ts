/** Commands and plain messages in Telegram: who may, what cannot be read, what comes twice. */
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { dispatchEvent } from "../../worker/dispatch.ts";
import { CHAT_ACCESS } from "../../durable-objects/chat-access/naming.ts";
import { runOf } from "./support/api.ts";
import {
  auditOf,
  BOT,
  botMessage,
  boundGroup,
  lastWords,
  message,
  person,
  saidIn,
  take,
  type Chat,
} from "./support/telegram.ts";
import { codexOfFile, RUN, runAskedBy, startedRun } from "./support/telegram-runs.ts";

codexOfFile();

describe("a command", () => {
  test("that comes twice is done once", async () => {
    const { group } = await boundGroup();
    const ada = await person("ada", "run:start");
    const update = message(group, ada, "/ask do it");
    expect(await take(update)).toMatchObject({ method: "setMessageReaction", chat_id: group.id });
    expect(await take(update)).toEqual({});
    expect((await auditOf(ada)).map(({ verdict }) => verdict)).toEqual(["allowed", "replayed"]);
  });

  test("of somebody without scopes, or with others, is refused and written down", async () => {
    const { group } = await boundGroup();
    const eve = await person("eve", "run:read");
    await take(message(group, eve, "/ask do it"));
    expect(await lastWords(group)).toContain("run:start");
    await take(message(group, eve, `/approve ${RUN} a1-1`));
    expect(await lastWords(group)).toContain("run:approve");
    expect((await auditOf(eve)).map(({ act, verdict }) => [act, verdict])).toEqual([
      ["/ask", "denied"],
      ["/approve", "denied"],
    ]);
  });

  test("of a denied user is refused although he has the scope", async () => {
    const { group, admin } = await boundGroup();
    const eve = await person("eve", "run:read");
    await take(message(group, admin, `/roles ${eve.id} deny`));
    await take(message(group, eve, "/runs"));
    expect((await auditOf(eve)).at(-1)?.verdict).toBe("denied");
  });

  test("of an anonymous administrator is nobody's", async () => {
    const { group, admin } = await boundGroup();
    const said = (await saidIn(group)).length;
    const anonymous = { sender_chat: group, from: { id: 1087968824, is_bot: true, first_name: "Group" } };
    expect(await take(message(group, admin, "/runs", { more: anonymous }))).toEqual({});
    expect(await take(message(group, admin, "/runs", { more: { sender_chat: group } }))).toEqual({});
    expect(await saidIn(group)).toHaveLength(said);
  });

  test("that is unknown is answered only where no other bot can be meant", async () => {
    const { group } = await boundGroup();
    const ada = await person("ada", "run:read");
    const said = (await saidIn(group)).length;
    await take(message(group, ada, "/weather"));
    await take(message(group, ada, "/runs@other_bot"));
    expect(await saidIn(group)).toHaveLength(said);
    await take(message(group, ada, "/weather@codex_flow_bot"));
    expect(await lastWords(group)).toContain("/help");
  });

  test.each([
    ["/dispatch", "type"],
    ["/dispatch lab.one {", "JSON"],
    ["/dispatch no.such.type", "no.such.type"],
    ["/flow dry-run lab.one", "It would start 1"],
    ["/codex ask session=maybe do it", "new, reuse, auto"],
    ["/ask", "what Codex is to do"],
    ["/show", "which run"],
    ["/show me", "no id of a run"],
    [`/show ${RUN}`, "no run"],
    ["/budget tokens=many", "/budget"],
    [`/approve ${RUN} a b c`, "too many"],
    ["/bind lab", "flows or types"],
    ["/bind flows nothing-of-this-name", "Not deployed"],
    ["/settings safe=perhaps", "safe=perhaps"],
    ["/settings colour=red", "colour=red"],
    ["/roles 7 king", "scopes are"],
    ["/codeflow maybe", "on, off or status"],
    ["/codeflow on", "Codeflow is on for this chat"],
    ["/codeflow status", "Codeflow is off for this chat"],
    ["/settings", "Settings of this chat"],
    ["/roles", "Being an administrator of a group gives none"],
    ["/runners", "unner"],
    ["/status", "sent"],
    ["/help", "/ask"],
  ])("%s is answered with what it says", async (text, words) => {
    const { group, admin } = await boundGroup();
    expect(await take(message(group, admin, text))).toEqual({});
    expect(await lastWords(group)).toContain(words);
  });

  test("gives and takes scopes, also as a reply to somebody's message", async () => {
    const { group, admin } = await boundGroup();
    const ada = await person("ada");
    const replyTo = { from: { ...ada, is_bot: false, first_name: "Ada" }, text: "hi" };
    await take(message(group, admin, "/roles run:read run:start", { replyTo }));
    expect(await lastWords(group)).toContain(`user:${ada.id}: run:read, run:start`);
    await take(message(group, ada, "/runs"));
    expect((await auditOf(ada)).at(-1)?.verdict).toBe("allowed");
    await take(message(group, admin, `/roles ${ada.id} none`));
    await take(message(group, ada, "/runs"));
    expect((await auditOf(ada)).at(-1)?.verdict).toBe("denied");
  });
});

test("a run that is asked for while every runner is off waits, is shown with the reason, and can be canceled", async () => {
  const { group, admin } = await boundGroup();
  await take(message(group, admin, "/ask project=web look at the tests", { topic: 9 }));
  const runId = await runAskedBy(admin);
  expect(await runOf(runId)).toMatchObject({
    status: "queued",
    requestedBy: `telegram:${admin.id} (root)`,
  });
  await take(message(group, admin, `/show ${runId}`));
  expect(await lastWords(group)).toMatch(/Waits: \S/);
  // The only reply that names it is to the bot's own message, by a button of it.
  const buttons = { inline_keyboard: [[{ text: "Logs", callback_data: `v1:logs:${runId}` }]] };
  const replyTo = { from: { id: Number(BOT), is_bot: true }, text: `Started ${RUN}`, reply_markup: buttons };
  await take(message(group, admin, "/cancel", { replyTo }));
  expect(await lastWords(group)).toContain("Canceled");
  expect((await runOf(runId)).status).toBe("canceled");
});

describe("a command whose words the sender has not written", () => {
  test.each([
    ["forwarded", "forwarded", { forward_origin: { type: "user", sender_user: { id: 666 } } }],
    ["forwarded by an older client", "forwarded", { forward_from: { id: 666 }, forward_date: 1 }],
    ["chosen from an inline bot", "via_bot", { via_bot: { id: 667, is_bot: true, first_name: "x" } }],
  ])("is not obeyed when it was %s, and the audit counts it", async (_, why, more) => {
    const { group, admin } = await boundGroup();
    const eve = await person("eve");
    const privately: Chat = { id: admin.id, type: "private" };
    const said = (await saidIn(group)).length;
    for (const chat of [group, privately])
      expect(await take(message(chat, admin, `/roles ${eve.id} admin`, { more }))).toEqual({});
    await take(message(privately, admin, "do this", { more }));
    const grants = await env.CHAT_ACCESS.getByName(CHAT_ACCESS).grants(BOT);
    expect(grants.filter(({ subject }) => subject === `user:${eve.id}`)).toEqual([]);
    expect(await saidIn(group)).toHaveLength(said);
    expect(await lastWords(privately)).toContain("I only follow what you write yourself");
    const refused = (await auditOf(admin)).filter(({ verdict }) => verdict === "denied");
    expect(refused.map(({ act, place, outcome }) => [act, place, outcome])).toEqual([
      ["/roles", `telegram:${group.id}`, why],
      ["/roles", `telegram:${privately.id}`, why],
      ["message", `telegram:${privately.id}`, why],
    ]);
  });
});

describe("a command whose event id was taken", () => {
  test("says so, and the audit books no run of somebody else on the asker", async () => {
    const { group } = await boundGroup();
    const ada = await person("ada", "run:start");
    const update = message(group, ada, "/ask do it");
    const id = `telegram:${BOT}:${update.update_id}`;
    const foreign = {
      id,
      type: "codex.ask",
      receivedAt: "2026-01-01T00:00:00Z",
      payload: { prompt: "evil" },
    };
    const lineage = { rootId: id, depth: 0 };
    const { runs } = await dispatchEvent(env, foreign, { lineage, origin: "event" });
    expect(await take(update)).toEqual({});
    expect(await lastWords(group)).toContain("Nothing was started");
    expect((await auditOf(ada)).at(-1)?.outcome).toBe("refused: event_exists");
    expect(await runOf(runs[0]?.id ?? "")).not.toHaveProperty("requestedBy");
    // The same command, sent again, is another update.
    await take(message(group, ada, "/ask do it"));
    expect(await runAskedBy(ada)).not.toBe(runs[0]?.id);
  });
});

describe("a plain message", () => {
  test("starts nothing unless the chat's settings say so, and never in a topic of people", async () => {
    const { group, admin } = await boundGroup();
    expect(await take(message(group, admin, "look at the tests"))).toEqual({});
    expect((await auditOf(admin)).map(({ act }) => act)).toEqual(["/bind"]);
    await take(message(group, admin, "/settings prompts=on"));
    expect(await take(message(group, admin, "look at the tests", { topic: 9 }))).toEqual({});
    expect(await take(message(group, admin, "look at the tests"))).toMatchObject({
      method: "setMessageReaction",
    });
    await runAskedBy(admin);
  });

  test("of somebody who may nothing is not answered; that it came is counted, and nothing of it is kept", async () => {
    const { group, admin } = await boundGroup();
    await take(message(group, admin, "/settings prompts=on"));
    const said = (await saidIn(group)).length;
    const eve = await person("eve");
    expect(await take(message(group, eve, "hello all"))).toEqual({});
    expect(await saidIn(group)).toHaveLength(said);
    const rows = await auditOf(eve);
    expect(rows).toMatchObject([{ act: "prompt", verdict: "denied", outcome: "missing_scope", times: 1 }]);
    expect(JSON.stringify(rows)).not.toContain("hello");
  });

  test("that replies to a run's message is said to it, and begins a new one when it is over", async () => {
    const { group } = await boundGroup();
    const { runId, link } = await startedRun(group);
    const ada = await person("ada", "run:reply", "run:start");
    const replyTo = await botMessage(group, `items|${runId}|telegram:${group.id}|0|0`, `not ${RUN}`);
    expect(await take(message(group, ada, "leave the tests", { replyTo }))).toMatchObject({
      method: "setMessageReaction",
    });
    expect((await runOf(runId)).messages).toMatchObject([
      { text: "leave the tests", by: `telegram:${ada.id} (ada)` },
    ]);
    await link.complete();
    await take(message(group, ada, "and now the docs", { replyTo }));
    expect(await runAskedBy(ada)).not.toBe(runId);
  });

  test("that was forwarded or comes from an inline bot is not said to a run, and the audit counts it", async () => {
    const { group } = await boundGroup();
    const { runId } = await startedRun(group);
    const ada = await person("ada", "run:reply", "run:start");
    const replyTo = await botMessage(group, `items|${runId}|telegram:${group.id}|0|0`, "hello");
    for (const more of [{ forward_origin: { type: "hidden_user" } }, { via_bot: { id: 5, is_bot: true } }])
      expect(await take(message(group, ada, "push it", { replyTo, more }))).toEqual({});
    expect((await runOf(runId)).messages).toBeUndefined();
    const rows = (await auditOf(ada)).map(({ act, verdict, outcome }) => [act, verdict, outcome]);
    expect(rows).toEqual([
      ["message", "denied", "forwarded"],
      ["message", "denied", "via_bot"],
    ]);
  });

  test("that replies to a message of an agent is not said to a run which that one has named", async () => {
    const { group } = await boundGroup();
    const [own, other] = [await startedRun(group), await startedRun(group)];
    const ada = await person("ada", "run:reply");
    const words = `I have looked at ${other.runId}`;
    const unknown = { from: { id: Number(BOT), is_bot: true }, text: words };
    expect(await take(message(group, ada, "stop it", { replyTo: unknown }))).toEqual({});
    const replyTo = await botMessage(group, `items|${own.runId}|telegram:${group.id}|0|0`, words);
    await take(message(group, ada, "stop it", { replyTo }));
    expect((await runOf(other.runId)).messages).toBeUndefined();
    expect((await runOf(own.runId)).messages).toMatchObject([{ text: "stop it" }]);
  });

  test("that replies to somebody else's words starts nothing, whatever run they name", async () => {
    const { group } = await boundGroup();
    const { runId } = await startedRun(group);
    const ada = await person("ada", "run:reply");
    const replyTo = { from: { id: 4711, is_bot: false }, text: runId };
    expect(await take(message(group, ada, "stop", { replyTo }))).toEqual({});
    expect((await runOf(runId)).messages).toBeUndefined();
  });
});
