/** Telegram's webhook inside workerd: who is let in, what comes twice, what is not understood, and who may do what. */
import { env } from "cloudflare:workers";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { encodeAction } from "../../contract/chat/action.ts";
import { TELEGRAM_UPDATE_MAX_BYTES } from "../../contract/limits.ts";
import { runOf, until } from "./support/api.ts";
import { RunLink } from "./support/fake-runner.ts";
import { deployStep } from "./support/flow-catalog.ts";
import { closeSockets } from "./support/socket.ts";
import {
  refusedAs,
  botMessage,
  auditOf,
  BOT,
  boundGroup,
  lastWords,
  message,
  newGroup,
  person,
  post,
  press,
  saidIn,
  SECRETS,
  take,
  type Chat,
  type Person,
} from "./support/telegram.ts";
import { endObjects } from "./support/tidy.ts";

const RUN = "run_0123456789abcdef_1";

beforeAll(() => {
  deployStep({ runner: "codex", trigger: { type: "codex.ask" } });
});
afterEach(closeSockets);
afterAll(endObjects);

/** The run that somebody has asked for, by what the audit says came of it. */
async function runAskedBy(who: Person): Promise<string> {
  const outcome = (await auditOf(who)).at(-1)?.outcome ?? "";
  expect(outcome).toMatch(/^started run_\S+$/);
  return outcome.replace("started ", "");
}

async function startedRun(group: Chat): Promise<{ runId: string; link: RunLink; starter: Person }> {
  const starter = await person("starter", "run:start");
  await take(message(group, starter, "/ask do it"));
  const runId = await runAskedBy(starter);
  return { runId, link: await RunLink.claim(runId, 1, "runner-a"), starter };
}

async function askLeave(link: RunLink, dangerous = false): Promise<void> {
  link.seq += 1;
  const request = {
    id: "a1-1",
    kind: "command" as const,
    title: "git push",
    decisions: ["accept" as const, "decline" as const],
    ...(dangerous ? { dangerous } : {}),
  };
  link.tell({ type: "approval", seq: link.seq, request });
  await link.acked(link.seq);
}

function action(act: Parameters<typeof encodeAction>[0]["act"], runId: string, more?: string): string {
  return encodeAction({ act, runId, ...(more === undefined ? {} : { more }) }) ?? "";
}

describe("who is let in", () => {
  test("both secrets of a rotation, and nothing else", async () => {
    const nothing = { update_id: 1 };
    const statuses = [];
    for (const secret of [SECRETS.old, SECRETS.new, "wrong", "", null, `${SECRETS.old},${SECRETS.new}`])
      statuses.push((await post(nothing, { secret })).status);
    expect(statuses).toEqual([200, 200, 401, 401, 401, 401]);
  });

  test("nobody where no secret, or no bot, is configured", async () => {
    const token = { TELEGRAM_BOT_TOKEN: `${BOT}:x` };
    for (const secret of ["", "undefined", SECRETS.new])
      expect((await post({ update_id: 1 }, { secret, settings: token })).status).toBe(401);
    const settings = { TELEGRAM_WEBHOOK_SECRETS: SECRETS.new };
    expect((await post({ update_id: 1 }, { settings })).status).toBe(401);
  });

  test("a forged update starts nothing", async () => {
    const { group } = await boundGroup();
    const ada = await person("ada", "run:start");
    expect((await post(message(group, ada, "/ask do it"), { secret: "wrong" })).status).toBe(401);
    expect(await auditOf(ada)).toEqual([]);
    await until(async () => {
      expect(await refusedAs("forged update")).toMatchObject([{ verdict: "denied", tenant: "" }]);
    });
  });
});

describe("what is not understood is taken and forgotten", () => {
  test.each([
    ["an unknown kind", { update_id: 1, purchased_paid_media: {} }],
    ["an edited message", { update_id: 1, edited_message: { message_id: 1 } }],
    ["a message of another form", { update_id: 1, message: "hello" }],
    ["no update at all", [1, 2]],
    ["no object", "17"],
  ])("%s", async (_, body) => {
    expect(await post(body)).toEqual({ status: 200, body: {} });
  });

  test("what no Telegram sends is refused: no JSON, too large", async () => {
    expect((await post("{")).status).toBe(400);
    expect((await post(`"${"x".repeat(TELEGRAM_UPDATE_MAX_BYTES)}"`)).status).toBe(413);
    await until(async () => {
      expect((await refusedAs("unreadable update")).map(({ outcome }) => outcome).sort()).toEqual([
        "invalid_json",
        "too_large",
      ]);
      expect(await refusedAs("unknown update")).toMatchObject([{ verdict: "denied" }]);
    });
  });
});

describe("a chat", () => {
  test("that is not bound is deaf: to commands, to words, and to strangers who would bind it", async () => {
    const group = newGroup();
    const ada = await person("ada", "run:start", "run:read");
    for (const text of ["/status", "/ask do it", "hello", "/nonsense@codex_flow_bot", "/bind", "/help"])
      expect(await take(message(group, ada, text))).toEqual({});
    expect(await saidIn(group)).toEqual([]);
    expect(await take(press(group, ada, action("cancel", RUN)))).toMatchObject({
      method: "answerCallbackQuery",
      text: expect.stringContaining("/bind") as unknown,
      show_alert: true,
    });
    const acts = ["/status", "/ask", "unknown command", "/bind", "/help", "press"];
    // Also those that come again and again.
    for (const text of ["/status", "/help"]) await take(message(group, ada, text));
    expect((await auditOf(ada)).map(({ act, verdict, outcome }) => [act, verdict, outcome])).toEqual(
      acts.map((act) => [act, "denied", "not_bound"]),
    );
  });

  test("is bound by an administrator of the bot, and let go again", async () => {
    const { group, admin } = await boundGroup("flows lab");
    expect(await lastWords(group)).toContain("Follows flows: lab");
    await take(message(group, admin, "/runs"));
    expect(await saidIn(group)).toHaveLength(2);
    await take(message(group, admin, "/bind off"));
    await take(message(group, admin, "/runs"));
    expect(await saidIn(group)).toHaveLength(3);
  });

  test("of one user with the bot needs no binding, and a stranger's is deaf", async () => {
    const ada = await person("ada", "run:read");
    const eve = await person("eve");
    const own = (who: Person): Chat => ({ id: who.id, type: "private" });
    await take(message(own(ada), ada, "/runs"));
    for (const text of ["/runs", "hello", "/runs"]) await take(message(own(eve), eve, text));
    expect([await saidIn(own(ada)), await saidIn(own(eve))].map(({ length }) => length)).toEqual([1, 0]);
    expect((await auditOf(eve)).map(({ act, verdict }) => [act, verdict])).toEqual([
      ["/runs", "denied"],
      ["message", "denied"],
    ]);
  });

  test("of somebody whom Telegram does not name: nothing is done, and it is written down", async () => {
    const { group, admin } = await boundGroup();
    const anonymous = { sender_chat: { id: group.id, type: "supergroup" } };
    const said = (await saidIn(group)).length;
    expect(await take(message(group, admin, "/ask do it", { more: anonymous }))).toEqual({});
    await take(message(group, admin, "hello all", { more: anonymous }));
    expect(await saidIn(group)).toHaveLength(said);
    const place = `telegram:${group.id}`;
    expect((await refusedAs("/ask")).filter((row) => row.place === place)).toMatchObject([
      { verdict: "denied", outcome: "anonymous", user: { name: "anonymous" } },
    ]);
    expect((await refusedAs("message")).filter((row) => row.place === place)).toEqual([]);
  });

  test("that becomes a supergroup takes its settings along, once", async () => {
    const { group, admin } = await boundGroup("flows lab");
    await take(message(group, admin, "/settings prompts=on safe=on"));
    const next = newGroup();
    const moved = [
      message(group, admin, "", { more: { text: undefined, migrate_to_chat_id: next.id } }),
      message(next, admin, "", { more: { text: undefined, migrate_from_chat_id: group.id } }),
    ];
    for (const update of [...moved, ...moved]) await take(update);
    await take(message(next, admin, "/settings"));
    expect(await lastWords(next)).toContain("Follows flows: lab");
    const shown = (await saidIn(next)).at(-1)?.fields;
    expect(shown).toContainEqual({ name: "safe mode", value: "on" });
    expect(shown).toContainEqual({ name: "plain messages", value: "prompts" });
    const before = (await saidIn(group)).length;
    await take(message(group, admin, "/runs"));
    expect(await saidIn(group)).toHaveLength(before);
  });
});

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
    ["/codeflow on", "On: relays may post here"],
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
    expect(row.map(({ label }) => label)).toEqual(["Yes, allow it", "No"]);
    const yes = row[0]?.action ?? "";
    expect(await take(press(group, eve, yes))).toMatchObject({
      text: expect.stringContaining("Somebody else") as unknown,
    });
    expect((await runOf(runId)).approvals?.[0]?.state).toBe("pending");
    await take(press(group, ada, yes));
    expect((await runOf(runId)).approvals?.[0]).toMatchObject({ state: "decided", decision: "accept" });
  });

  test("is answered in words too, without its id when it is the only one", async () => {
    const { group } = await boundGroup();
    const { runId, link } = await startedRun(group);
    const ada = await person("ada", "run:approve");
    await take(message(group, ada, `/approve ${runId}`));
    expect(await lastWords(group)).toContain("waits for no leave");
    await askLeave(link);
    await take(message(group, ada, `/deny ${runId}`));
    expect((await runOf(runId)).approvals?.[0]).toMatchObject({ state: "decided", decision: "decline" });
  });
});

test("an update is not taken while the audit cannot be written, so that it comes again", async () => {
  const { group, admin } = await boundGroup();
  const broken = {
    ...env,
    CHAT_ACCESS: { getByName: () => ({ admit: () => Promise.reject(new Error("no storage")) }) },
  } as unknown as Partial<typeof env>;
  const update = message(group, admin, "/ask do it");
  const settings = {
    ...broken,
    TELEGRAM_BOT_TOKEN: `${BOT}:x`,
    TELEGRAM_WEBHOOK_SECRETS: SECRETS.new,
  };
  const failed = await post(update, { settings });
  expect([failed.status, failed.body]).toEqual([
    503,
    { error: expect.objectContaining({ code: "overloaded" }) as unknown },
  ]);
  await take(update);
  await runAskedBy(admin);
});
