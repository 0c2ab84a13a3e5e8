/**
 * Answers that are not there in time: acknowledged by a deferral that only the asker sees, and handed to the outbox once.
 * An object is slow because the test holds it. What the outbox makes of an answer is tested where the outbox is.
 */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import type { ApprovalRequest, ApprovalView } from "../../contract/approvals.ts";
import type { ChatActionName } from "../../contract/chat/action.ts";
import { CHAT_ACCESS } from "../../durable-objects/chat-access/naming.ts";
import { approvalButtons } from "../../durable-objects/chat-outbox/board/buttons.ts";
import { DeliveryRows } from "../../durable-objects/chat-outbox/delivery/rows.ts";
import type { MessageRow } from "../../durable-objects/chat-outbox/delivery/records.ts";
import { drawDiscord } from "../../durable-objects/chat-outbox/discord/message.ts";
import { CONFIRM_WITHIN_MS, confirmation } from "../../worker/chat/confirmation.ts";
import { AT_ONCE_MAX } from "../../worker/discord/crowd.ts";
import { approvalFixture } from "../support/run-fixtures.ts";
import {
  crash,
  eventOf,
  eventStub,
  expectError,
  expectJson,
  runOf,
  runStub,
  startRun,
  stored,
  until,
} from "./support/api.ts";
import {
  auditOf,
  button,
  command,
  messageCommand,
  newServer,
  person,
  sendInteraction,
  sendToBot,
  type Interaction,
  type Where,
} from "./support/discord.ts";
import { RunLink } from "./support/fake-runner.ts";
import { deployStep } from "./support/flow-catalog.ts";
import { closeSockets } from "./support/socket.ts";
import { endObjects } from "./support/tidy.ts";

afterAll(endObjects);

afterEach(closeSockets);

const DEFERRAL = { type: 5, data: { flags: 64 } };
const LOOK_AGAIN_MS = 5;
const RUN = "run_0000000000000000_1";

/** Nothing gets into the object until it is let go. Told by flags: a promise of the test's would be another request's. */
async function hold(object: DurableObjectStub): Promise<() => Promise<void>> {
  const state = { held: false, over: false };
  const holding = runInDurableObject(object, async (_instance, context) => {
    await context.blockConcurrencyWhile(async () => {
      state.held = true;
      while (!state.over) await scheduler.wait(LOOK_AGAIN_MS);
    });
  });
  while (!state.held) await scheduler.wait(LOOK_AGAIN_MS);
  return async () => {
    state.over = true;
    await holding;
  };
}

const access = (): DurableObjectStub =>
  env.CHAT_ACCESS.getByName(CHAT_ACCESS) as unknown as DurableObjectStub;

const outbox = (): DurableObjectStub =>
  env.CHAT_OUTBOXES.getByName("discord:1000000000000000001") as unknown as DurableObjectStub;

/** What the outbox was told to answer; undefined: nothing. */
async function handedOver({ id }: Interaction): Promise<MessageRow | undefined> {
  return runInDurableObject(outbox(), (_instance, state) =>
    new DeliveryRows(state.storage).message(`reply:${id}`),
  );
}

/** No Discord is there to take them. */
afterEach(async () => {
  await runInDurableObject(outbox(), (_instance, state) => state.storage.deleteAll());
  await crash(outbox());
});

/** An administrator's `/flow dispatch`, whose event object is held. */
async function slowDispatch(): Promise<{ given: Interaction; letGo: () => Promise<void> }> {
  const server = await newServer();
  const { type } = deployStep();
  const given = command("flow dispatch", { type, payload: "{}" }, { server, by: server.owner });
  return { given, letGo: await hold(await eventStub(`discord:${given.id}`)) };
}

/** An approval as the bot shows it, and a press on it there; of this approval, whatever the message is about. */
function approvalShown(more: Partial<ApprovalView>, runId = RUN): { id: string; components: object[] } {
  const buttons = [approvalButtons(approvalFixture({ runId, ...more }))];
  const { components } = drawDiscord({ tone: "waiting", title: "It asks", buttons }).body;
  return { id: "9", components };
}

function approvalPress(
  act: ChatActionName,
  where: Where,
  shown: Partial<ApprovalView> = {},
  runId = RUN,
): Interaction {
  return { ...button(`v1:${act}:${runId}:a1-1`, where), message: approvalShown(shown, runId) };
}

async function askingRun(more: Partial<ApprovalRequest> = {}): Promise<{ runId: string; link: RunLink }> {
  const { runId } = await startRun(deployStep({ runner: "codex" }).type);
  const link = await RunLink.claim(runId, 1, "runner-a");
  link.seq += 1;
  const request: ApprovalRequest = {
    id: "a1-1",
    kind: "command",
    title: "git push",
    decisions: ["accept", "decline"],
    ...more,
  };
  link.tell({ type: "approval", seq: link.seq, request });
  await link.acked(link.seq);
  return { runId, link };
}

describe("what may follow", () => {
  test("an answer in time stands in the response, and is not given to the outbox", async () => {
    const server = await newServer();
    // A machine that is busy now is not so for ever.
    const given = await until(async () => {
      const one = command("flow runs", {}, { server, by: server.owner });
      const { answer, over } = await sendToBot(one);
      const { type } = await expectJson<{ type: number }>(answer, 200);
      await over();
      expect(type).toBe(4);
      return one;
    });
    expect(await handedOver(given)).toBeUndefined();
  });

  test("is deferred for its asker's eyes, and handed over once when it is there", async () => {
    const { given, letGo } = await slowDispatch();
    const before = Date.now();
    const { answer, over } = await sendToBot(given);
    expect(await expectJson(answer, 200)).toEqual(DEFERRAL);
    expect(await handedOver(given)).toBeUndefined();
    await letGo();
    await over();
    const row = await handedOver(given);
    const { runs } = await eventOf(`discord:${given.id}`);
    expect(row).toMatchObject({
      wanted: { title: expect.stringContaining("Started") as unknown },
      reply: { applicationId: "1000000000000000001", token: "token" },
    });
    expect(JSON.stringify(row?.wanted)).toContain(runs[0]?.id);
    // Its token lives from the interaction on, not from its answer.
    expect(row?.reply?.at).toBeGreaterThanOrEqual(before);
    expect(row?.reply?.at).toBeLessThan(Date.now());
  });

  test("a denial that comes late says so, and nothing is started", async () => {
    const server = await newServer();
    const { type } = deployStep();
    const given = command("flow dispatch", { type, payload: "{}" }, { server, by: person("eve") });
    const letGo = await hold(access());
    const { answer, over } = await sendToBot(given);
    expect(await expectJson(answer, 200)).toEqual(DEFERRAL);
    await letGo();
    await over();
    expect((await handedOver(given))?.wanted?.title).toContain("You may not do this");
    expect(await stored(await eventStub(`discord:${given.id}`))).toEqual({ keys: [], tables: [] });
    expect(await auditOf(server)).toMatchObject([{ verdict: "denied" }]);
  });

  test("a failure that comes late is told like any other", async () => {
    const server = await newServer();
    const given = command("flow runs", {}, { server, by: server.owner });
    const letGo = await hold(access());
    const { answer, over } = await sendToBot(given, { LEDGERS: undefined });
    expect(await expectJson(answer, 200)).toEqual(DEFERRAL);
    await letGo();
    await over();
    expect((await handedOver(given))?.wanted).toMatchObject({ tone: "bad", title: "The edge failed" });
    expect(await auditOf(server)).toMatchObject([{ outcome: "failed: the edge could not do it" }]);
  });

  test("a repetition that is found out late says nothing: the answer is the first one's", async () => {
    const server = await newServer();
    const { type } = deployStep();
    const given = command("flow dispatch", { type, payload: "{}" }, { server, by: server.owner });
    await expectJson(sendInteraction(given), 200);
    const letGo = await hold(access());
    const { answer, over } = await sendToBot(given);
    expect(await expectJson(answer, 200)).toEqual(DEFERRAL);
    await letGo();
    await over();
    expect(await handedOver(given)).toBeUndefined();
    expect((await auditOf(server)).map(({ verdict }) => verdict)).toEqual(["replayed", "allowed"]);
    // Not slow, it is refused as ever.
    await expectError((await sendToBot(given)).answer, 409);
  });
});

describe("a decision on the message of its approval", () => {
  test("is deferred, done once, and told to who has decided", async () => {
    const server = await newServer();
    const { runId, link } = await askingRun();
    const given = approvalPress("approve", { server, by: server.owner }, {}, runId);
    const letGo = await hold(runStub(runId));
    const { answer, over } = await sendToBot(given);
    expect(await expectJson(answer, 200)).toEqual(DEFERRAL);
    await letGo();
    await over();
    expect((await handedOver(given))?.wanted?.title).toContain("Approved by");
    expect(await link.next("decided")).toMatchObject({ id: "a1-1", decision: "accept" });
    expect((await runOf(runId)).approvals).toMatchObject([{ state: "decided", decision: "accept" }]);
  });

  test.each<[string, (where: Where) => Interaction]>([
    ["leave for what is harmless", (where) => approvalPress("approve", where)],
    ["leave for the session", (where) => approvalPress("approve_session", where)],
    ["a denial", (where) => approvalPress("deny", where)],
    ["a denial of what is dangerous", (where) => approvalPress("deny", where, { dangerous: true })],
    ["approving something dangerous", (where) => approvalPress("approve", where, { dangerous: true })],
    ["the same for the session", (where) => approvalPress("approve_session", where, { dangerous: true })],
    [
      "the second press",
      (where) =>
        button(
          `v1:confirm:${RUN}:${confirmation({ decision: "accept", approval: "a1-1", user: where.by.id, expiresAt: Date.now() + CONFIRM_WITHIN_MS })}`,
          where,
        ),
    ],
  ])("%s is deferred while a form is waited for", async (_what, make) => {
    const server = await newServer();
    const where = { server, by: server.owner };
    const given = make(where);
    const letGo = await hold(access());
    let waiting = true;
    const inline = sendToBot(command("codex ask", {}, where)).finally(() => {
      waiting = false;
    });
    const { answer, over } = await sendToBot(given);
    expect(await expectJson(answer, 200)).toEqual(DEFERRAL);
    expect(waiting).toBe(true);
    await letGo();
    await Promise.all([over(), (await inline).over()]);
    expect((await handedOver(given))?.wanted?.title).toContain("there is no run");
  });

  test("a late answer that asks for a second press carries its buttons", async () => {
    const server = await newServer();
    const { runId } = await askingRun({ dangerous: true });
    const given = approvalPress("approve", { server, by: server.owner }, { dangerous: true }, runId);
    const letGo = await hold(runStub(runId));
    const { answer, over } = await sendToBot(given);
    expect(await expectJson(answer, 200)).toEqual(DEFERRAL);
    await letGo();
    await over();
    expect((await handedOver(given))?.wanted?.buttons?.[0]?.[0]?.label).toBe("Yes, run it");
    expect(await runOf(runId)).toMatchObject({ pendingApprovals: 1 });
  });
});

describe("what can stand in the response alone", () => {
  test.each<[string, (where: Where) => Interaction, number]>([
    ["the form for a payload", (where) => command("flow dispatch", { type: "lab.one" }, where), 9],
    ["the form for a dry run", (where) => command("flow dry-run", { type: "lab.one" }, where), 9],
    ["the form for a prompt", (where) => command("codex ask", { session: "new" }, where), 9],
    ["the form of Send to Codex", (where) => messageCommand("Send to Codex", "do it", where), 9],
    ["the form of Reply", (where) => button(`v1:reply:${RUN}`, where), 9],
    ["the form for a budget", (where) => button(`v1:budget:${RUN}`, where), 9],
    ["the choice of scopes", (where) => command("roles set", { who: "4711" }, where), 4],
    ["what all may see", (where) => command("codeflow status", {}, where), 4],
    ["leave by a command", (where) => command("codex approve", { run: RUN, approval: "a1-1" }, where), 4],
  ])("%s is waited for while others are deferred", async (_what, make, type) => {
    const server = await newServer();
    const where = { server, by: server.owner };
    const letGo = await hold(access());
    let waiting = true;
    const inline = sendToBot(make(where)).finally(() => {
      waiting = false;
    });
    const other = await sendToBot(command("flow runs", {}, where));
    expect(await expectJson(other.answer, 200)).toEqual(DEFERRAL);
    expect(waiting).toBe(true);
    await letGo();
    const { answer, over } = await inline;
    expect(await expectJson(answer, 200)).toMatchObject({ type });
    await Promise.all([over(), other.over()]);
  });
});

test("behind a few that are under way, another is acknowledged at once, begun, and answered", async () => {
  const slow = await Promise.all(Array.from({ length: AT_ONCE_MAX }, slowDispatch));
  const under = await Promise.all(slow.map(({ given }) => sendToBot(given)));
  for (const { answer } of under) expect(await expectJson(answer, 200)).toEqual(DEFERRAL);
  const server = await newServer();
  const { type } = deployStep();
  const given = command("flow dispatch", { type, payload: "{}" }, { server, by: server.owner });
  const { answer, over } = await sendToBot(given);
  expect(await expectJson(answer, 200)).toEqual(DEFERRAL);
  await over();
  expect((await handedOver(given))?.wanted?.title).toContain("Started");
  for (const { letGo } of slow) await letGo();
  for (const one of under) await one.over();
  for (const one of slow) expect((await handedOver(one.given))?.wanted?.title).toContain("Started");
});
