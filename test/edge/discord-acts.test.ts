/** What people do from Discord, with real event objects behind it: start, watch, steer, decide, set up. */
import { afterAll, afterEach, describe, expect, test } from "vitest";
import type { ApprovalRequest } from "../../contract/approvals.ts";
import { DISCORD_COMMANDS } from "../../contract/chat/discord-commands.ts";
import type { RelaySessionAnswer, RelaySessionRequest } from "../../contract/relay.ts";
import type { RunView } from "../../contract/run-view.ts";
import { nameIn } from "../../durable-objects/chat-outbox/board/cards.ts";
import { CONFIRM_WITHIN_MS, confirmation, type Confirmation } from "../../worker/chat/confirmation.ts";
import { COMMANDS } from "../../worker/discord/commands/index.ts";
import {
  call,
  eventOf,
  expectJson,
  runOf,
  startRun,
  TOKENS,
  until,
  untilStatus,
  untilWaiting,
} from "./support/api.ts";
import {
  answered,
  auditOf,
  button,
  command,
  form,
  messageCommand,
  newServer,
  person,
  roleWith,
  select,
  startedRun,
  type Answered,
  type Server,
} from "./support/discord.ts";
import { RunLink } from "./support/fake-runner.ts";
import { deployStep } from "./support/flow-catalog.ts";
import { closeSockets } from "./support/socket.ts";
import { endObjects } from "./support/tidy.ts";

afterEach(closeSockets);
afterAll(endObjects);

const APPROVAL: ApprovalRequest = {
  id: "a1-1",
  kind: "command",
  title: "git push",
  detail: "git push origin main",
  decisions: ["accept", "accept_for_session", "decline", "cancel"],
};
const PRIVATE = (1 << 15) | 64;

/** Custom id of the button "Yes, run it". */
function secondPress({ data }: Answered): string {
  return /v1:confirm:[^"]+/.exec(JSON.stringify(data))?.[0] ?? "no second press";
}

async function asking(more: Partial<ApprovalRequest> = {}): Promise<{ runId: string; link: RunLink }> {
  const { runId } = await startRun(deployStep({ runner: "codex" }).type);
  const link = await RunLink.claim(runId, 1, "runner-a");
  link.seq += 1;
  link.tell({ type: "approval", seq: link.seq, request: { ...APPROVAL, ...more } });
  await link.acked(link.seq);
  return { runId, link };
}

const owned = async (): Promise<{ server: Server; where: { server: Server; by: Server["owner"] } }> => {
  const server = await newServer();
  return { server, where: { server, by: server.owner } };
};

test("every command that is registered is answered, and no other", () => {
  const registered = DISCORD_COMMANDS.flatMap(({ name, ...command }) => {
    const options = "options" in command ? (command.options ?? []) : [];
    if (!("description" in command)) return [];
    return options.length === 0 ? [name] : options.map((option) => `${name} ${option.name}`);
  });
  expect(Object.keys(COMMANDS).sort()).toEqual(registered.sort());
});

describe("starting", () => {
  test("with every runner off, the run waits, says who asked, and can be canceled", async () => {
    const { server } = await owned();
    const { type, pool } = deployStep();
    const ada = person("ada", [await roleWith(server, ["run:start", "run:reply"])]);
    const where = { server, by: ada };
    const answer = await answered(command("flow dispatch", { type, payload: '{"a":1}' }, where));
    expect(answer).toMatchObject({ type: 4, data: { flags: PRIVATE } });
    const runId = startedRun(answer);
    await untilWaiting(pool, runId);
    expect(await runOf(runId)).toMatchObject({ status: "queued", requestedBy: `discord:${ada.id} (ada)` });

    const canceled = await answered(button(`v1:cancel:${runId}`, where));
    expect(canceled.text).toContain("Canceled");
    expect(await untilStatus(runId, "canceled")).toMatchObject({
      cancel: { by: `discord:${ada.id} (ada)` },
    });
    expect(await auditOf(server)).toMatchObject([
      { act: "cancel", subject: runId, verdict: "allowed", outcome: "canceled" },
      { act: "flow dispatch", subject: type, verdict: "allowed", outcome: `started ${runId}` },
    ]);
    // Once more: it is over, and stays so.
    expect((await answered(button(`v1:cancel:${runId}`, where))).text).toContain("Canceled");
  });

  test("without a payload a form asks for it, and what is typed there is sent", async () => {
    const { where } = await owned();
    const { type } = deployStep();
    const asked = await answered(command("flow dispatch", { type }, where));
    expect(asked).toMatchObject({ type: 9, data: { custom_id: "v1:form:dispatch" } });
    const sent = form("v1:form:dispatch", { type, payload: '{"x":"ü"}' }, where);
    startedRun(await answered(sent));
    expect((await eventOf(`discord:${sent.id}`)).event).toMatchObject({ type, payload: { x: "ü" } });
  });

  test.each([
    ["no JSON", "lab.one", "{", "not JSON"],
    ["nothing that the schema takes", "upstream.release", "{}", "/payload/tag is required"],
    ["a type that no flow waits for", "who.knows", "{}", "who.knows"],
    ["a type without a name", "", "{}", "type"],
  ])("%s is told, and starts nothing", async (_what, type, payload, told) => {
    const { where } = await owned();
    // Of release, the step that takes anything is another one.
    const only = type === "upstream.release" ? command("flow dry-run", { type, payload }, where) : undefined;
    const answer = await answered(only ?? form("v1:form:dispatch", { type, payload }, where));
    expect(answer.text).toContain(told);
    expect(answer.text).not.toContain("Started");
  });

  test("a prompt becomes an event for Codex, where the channel says", async () => {
    const { server, where } = await owned();
    deployStep({ trigger: { type: "codex.ask" }, runner: "codex" });
    expect((await answered(command("codex ask", {}, where))).data.custom_id).toBe("v1:form:ask");
    await answered(command("channel set", { project: "shop", session: "new" }, where));
    const ask = command("codex ask", { prompt: "mend the test" }, where);
    startedRun(await answered(ask));
    const { event } = await eventOf(`discord:${ask.id}`);
    expect(event).toMatchObject({
      type: "codex.ask",
      payload: {
        prompt: "mend the test",
        project: "shop",
        session: "new",
        requester: { platform: "discord", id: server.owner.id },
        channel: `discord:${server.channel}`,
      },
    });
    // Who names a folder does not mean the channel's project.
    const there = form("v1:form:ask", { prompt: "look", workdir: "/src/x", session: "channel" }, where);
    startedRun(await answered(there));
    const { payload } = (await eventOf(`discord:${there.id}`)).event;
    expect(payload).toMatchObject({ workdir: "/src/x", session: "new" });
    expect(payload).not.toHaveProperty("project");
  });

  test("a message is sent to Codex by a form that holds it", async () => {
    const { server, where } = await owned();
    const form = await answered(messageCommand("Send to Codex", "fix the *build*", where));
    expect(form).toMatchObject({ type: 9, data: { custom_id: "v1:form:ask" } });
    expect(JSON.stringify(form.data)).toContain("fix the *build*");
    expect(await auditOf(server)).toMatchObject([{ act: "Send to Codex", verdict: "allowed" }]);
  });
});

describe("deciding", () => {
  test("three press at the same moment: one decision, the others are told whose, three rows", async () => {
    const { server } = await owned();
    const { runId, link } = await asking();
    const approver = await roleWith(server, ["run:approve"]);
    const people = ["ada", "ben", "cleo"].map((name) => person(name, [approver]));
    const [ada, ben, cleo] = people;
    if (ada === undefined || ben === undefined || cleo === undefined) throw new Error("three");
    const answers = await Promise.all([
      answered(button(`v1:approve:${runId}:a1-1`, { server, by: ada })),
      answered(button(`v1:deny:${runId}:a1-1`, { server, by: ben })),
      answered(button(`v1:approve:${runId}:a1-1`, { server, by: cleo })),
    ]);
    const { approvals: [approval] = [] } = await runOf(runId);
    expect(approval).toMatchObject({ state: "decided" });
    const winner = people.findIndex(({ id }) => approval?.decidedBy?.includes(id));
    // Theirs takes the place of the message with the buttons; the others' are for their own eyes.
    expect(answers.map(({ type }) => type)).toEqual(people.map((_one, index) => (index === winner ? 7 : 4)));
    const told = `by ${nameIn(approval?.decidedBy ?? "")}`;
    for (const answer of answers) expect(answer.text).toContain(told);
    expect(await link.next("decided")).toMatchObject({ id: "a1-1", by: approval?.decidedBy });
    const rows = await auditOf(server);
    expect(rows.map(({ verdict, subject }) => [verdict, subject])).toEqual(Array(3).fill(["allowed", runId]));
    expect(rows.filter(({ outcome }) => outcome?.startsWith("decided"))).toHaveLength(1);
    expect(rows.filter(({ outcome }) => outcome?.startsWith("too late"))).toHaveLength(2);
  });

  test("who may start may not approve, and nothing is decided", async () => {
    const { server } = await owned();
    const { runId } = await asking();
    const by = person("ada", [await roleWith(server, ["run:read", "run:start", "run:reply"])]);
    for (const act of ["approve", "approve_session", "deny", "confirm"])
      expect((await answered(button(`v1:${act}:${runId}:a1-1`, { server, by }))).text).toContain(
        "run:approve",
      );
    expect((await answered(command("codex approve", { run: runId }, { server, by }))).text).toContain(
      "run:approve",
    );
    expect(await runOf(runId)).toMatchObject({ pendingApprovals: 1 });
  });

  test("approving something dangerous takes a second press, shown to its asker alone", async () => {
    const { where } = await owned();
    const { runId } = await asking({ dangerous: true });
    const asked = await answered(button(`v1:approve:${runId}:a1-1`, where));
    expect(asked).toMatchObject({ type: 4, data: { flags: PRIVATE } });
    expect(await runOf(runId)).toMatchObject({ pendingApprovals: 1 });
    await answered(button(secondPress(asked), where));
    expect((await runOf(runId)).approvals).toMatchObject([{ state: "decided", decision: "accept" }]);
  });

  test("the second press of another person approves nothing, although the person may approve", async () => {
    const { server, where } = await owned();
    const { runId } = await asking({ dangerous: true });
    const yes = secondPress(await answered(button(`v1:approve:${runId}:a1-1`, where)));
    const eve = person("eve", [await roleWith(server, ["run:approve"])]);
    expect((await answered(button(yes, { server, by: eve }))).text).toContain("Somebody else");
    expect(await runOf(runId)).toMatchObject({ pendingApprovals: 1 });
  });

  test.each<[string, Partial<Confirmation>, string]>([
    ["that has expired", { expiresAt: Date.now() - 60_001 }, "has expired"],
    ["for an approval that was never asked", { approval: "a1-9" }, "a1-9"],
  ])("a second press %s approves nothing", async (_what, forged, says) => {
    const { where } = await owned();
    const { runId } = await asking({ dangerous: true });
    const given = {
      decision: "accept",
      approval: "a1-1",
      user: where.by.id,
      expiresAt: Date.now() + CONFIRM_WITHIN_MS,
    } as const;
    const more = confirmation({ ...given, ...forged });
    expect((await answered(button(`v1:confirm:${runId}:${more}`, where))).text).toContain(says);
    expect(await runOf(runId)).toMatchObject({ pendingApprovals: 1 });
  });

  test("a second press that is sent again changes nothing", async () => {
    const { where } = await owned();
    const { runId } = await asking({ dangerous: true });
    const yes = secondPress(await answered(button(`v1:approve:${runId}:a1-1`, where)));
    await answered(button(`v1:deny:${runId}:a1-1`, where));
    expect((await answered(button(yes, where))).text).toContain("Already denied");
    expect((await runOf(runId)).approvals).toMatchObject([{ decision: "decline" }]);
  });

  test("denying something dangerous is one step", async () => {
    const { where } = await owned();
    const { runId } = await asking({ dangerous: true });
    await answered(button(`v1:deny:${runId}:a1-1`, where));
    expect((await runOf(runId)).approvals).toMatchObject([{ decision: "decline" }]);
  });

  test("/codex approve takes the only one that is open, and asks when there are several", async () => {
    const { where } = await owned();
    const { runId, link } = await asking();
    link.seq += 1;
    link.tell({ type: "approval", seq: link.seq, request: { ...APPROVAL, id: "a1-2", title: "rm -r x" } });
    await link.acked(link.seq);
    const approve = (more: Record<string, string>): Promise<Answered> =>
      answered(command("codex approve", { run: runId, ...more }, where));
    expect((await approve({})).text).toContain("a1-2: rm -r x");
    expect((await approve({ approval: "a1-2", decision: "decline" })).text).toContain("Denied by");
    expect((await approve({})).text).toContain("Approved by");
    expect((await approve({})).text).toContain("no pending approvals");
  });
});

describe("steering and watching", () => {
  test("a word from the form of Reply reaches Codex; a script listens to nobody", async () => {
    const { where } = await owned();
    const { runId, link } = await asking();
    expect((await answered(button(`v1:reply:${runId}`, where))).data.custom_id).toBe(`v1:reply:${runId}`);
    await answered(form(`v1:reply:${runId}`, { text: "use tabs" }, where));
    expect(await link.next("message")).toMatchObject({ text: "use tabs" });
    const script = await startRun(deployStep().type);
    const deaf = await answered(command("codex say", { run: script.runId, text: "hello" }, where));
    expect(deaf.text).toContain("takes no messages");
  });

  test("show, logs, runs, events, runners and status answer with what there is", async () => {
    const { server, where } = await owned();
    const { type } = deployStep();
    const { runId, eventId } = await startRun(type);
    const see = async (path: string, values: Record<string, string> = {}): Promise<string> =>
      (await answered(command(path, values, where))).text;
    expect(await see("flow show", { run: runId })).toContain(eventId);
    expect(await see("flow logs", { run: runId })).toContain("printed nothing");
    await until(async () => {
      expect(await see("flow runs", { status: "queued" })).toContain(runId);
    });
    expect(await see("flow events", { type })).toContain(eventId);
    expect(await see("flow dry-run", { type, payload: "{}" })).toContain("It would start 1");
    expect(await see("runners")).toContain("unner");
    expect(await see("status")).toContain("no token is set");
    expect(await see("flow show")).toContain("say which run");
    expect((await auditOf(server)).every(({ outcome }) => outcome !== undefined)).toBe(true);
  });

  test("a replay is a new run, and a budget that nothing limits cannot be raised", async () => {
    const { where } = await owned();
    const { runId, eventId } = await startRun(deployStep().type);
    const again = startedRun(await answered(button(`v1:replay:${runId}`, where)));
    const requestedBy = `discord:${where.by.id} (${where.by.name})`;
    expect(await runOf(again)).toMatchObject({
      replayOf: runId,
      eventId,
      requestedBy,
    } satisfies Partial<RunView>);
    const budget = await answered(form(`v1:budget:${runId}`, { tokens: "5" }, where));
    expect(budget.text).toContain("no budget of tokens");
    const none = await answered(form(`v1:budget:${runId}`, { tokens: "many", usd: "-3" }, where));
    expect(none.text).toContain("how much");
  });

  test("a relayed session is not replayed from a chat, and who tries is told where it is begun", async () => {
    const { server, where } = await owned();
    await answered(command("codeflow on", {}, where));
    const body: RelaySessionRequest = {
      id: crypto.randomUUID(),
      place: { platform: "discord", channel: server.channel },
      mode: "run",
      agent: "Codex",
      title: "fix it",
      workdir: "/src/app",
      timeoutMs: 60_000,
      silenceMs: 60_000,
    };
    const begun = call("POST", "/relay/sessions", { body, token: TOKENS.runner });
    const { runId } = await expectJson<RelaySessionAnswer>(begun, 202);
    expect((await answered(button(`v1:replay:${runId}`, where))).text).toContain("codex-flow relay");
    expect((await answered(command("flow replay", { run: runId }, where))).text).toContain(
      "Only the machine",
    );
    expect((await eventOf(`relay:${body.id}`)).runs).toHaveLength(1);
  });

  test("choices: types and runs for those who may, nothing for others, nothing written down", async () => {
    const { server, where } = await owned();
    const { type } = deployStep();
    const { runId } = await startRun(type);
    const choices = async (
      path: string,
      option: string,
      typed: string,
      by = server.owner,
    ): Promise<string[]> => {
      const answer = await answered(command(path, { [option]: typed }, { server, by }, option));
      expect(answer.type).toBe(8);
      return (answer.data.choices ?? []).map(({ value }) => value);
    };
    expect(await choices("flow dispatch", "type", type.toUpperCase())).toContain(type);
    await until(async () => {
      expect(await choices("flow cancel", "run", runId.slice(-6))).toContain(runId);
    });
    expect(await choices("flow cancel", "run", "%_'\"")).toEqual([]);
    expect((await choices("flow dispatch", "type", "")).length).toBeLessThanOrEqual(25);
    expect(await choices("flow dispatch", "type", "", person("eve"))).toEqual([]);
    expect(await choices("nothing known", "run", "")).toEqual([]);
    expect(await auditOf(where.server)).toEqual([]);
  });
});

describe("setting up", () => {
  test("a role is given scopes by a choice, and takes them away by none", async () => {
    const { server, where } = await owned();
    const subject = "role:4711";
    const role = person("ada", ["4711"]);
    const may = async (): Promise<boolean> =>
      !(await answered(command("runners", {}, { server, by: role }))).text.includes("may not");
    const asked = await answered(command("roles set", { who: "4711" }, where));
    expect(asked).toMatchObject({ type: 4, data: { flags: PRIVATE } });
    expect(JSON.stringify(asked.data)).toContain("v1:grant:role:4711");
    await answered(select(`v1:grant:${subject}`, ["run:read"], where));
    expect(await may()).toBe(true);
    await answered(select(`v1:grant:${subject}`, ["run:read", "deny"], where));
    expect(await may()).toBe(false);
    await answered(select(`v1:grant:${subject}`, [], where));
    expect(await may()).toBe(false);
    const { grants } = await expectJson<{ grants: unknown[] }>(
      call("GET", `/chat/grants?tenant=${server.id}`),
      200,
    );
    expect(grants).toEqual([]);
    // Not by who lacks the scope, whatever message he has got hold of.
    expect((await answered(select(`v1:grant:${subject}`, ["admin"], { server, by: role }))).text).toContain(
      "admin",
    );
    expect(await may()).toBe(false);
  });

  test("what a channel follows is set in it and shown there", async () => {
    const { where } = await owned();
    const wrong = await answered(command("channel follow", { flow: "nosuch" }, where));
    expect(wrong.text).toContain("Not deployed: nosuch");
    await answered(command("channel follow", { flow: "release", type: "lab.one" }, where));
    await answered(command("channel set", { output: "minimal", safe: true, threads: false }, where));
    const shown = (await answered(command("channel show", {}, { ...where, thread: "5" }))).text;
    for (const part of ["Follows flows: release", "Follows types: lab.one", "minimal", "safe mode"])
      expect(shown).toContain(part);
    await answered(command("channel unfollow", { flow: "*" }, where));
    expect((await answered(command("channel show", {}, where))).text).toContain("Follows flows: none");
  });

  test("the guard of a thread is its own", async () => {
    const { where } = await owned();
    const inThread = { ...where, thread: "77" };
    const status = async (at: typeof where): Promise<string> =>
      (await answered(command("codeflow status", {}, at))).text;
    expect(await status(where)).toContain("Nobody has turned it on");
    await answered(command("codeflow on", {}, inThread));
    expect(await status(inThread)).toContain("Codeflow is on for this thread");
    expect(await status(where)).toContain("Nobody has turned it on");
    await answered(command("codeflow on", {}, where));
    await answered(command("codeflow off", {}, inThread));
    expect(await status(inThread)).toContain("Codeflow is off for this thread");
    expect(await status(where)).toContain("Codeflow is on for this channel");
  });
});
