/** An approval that is answered on a run's card: the card is the outbox's, however late the answer to the press comes. */
import { afterAll, afterEach, expect, test } from "vitest";
import type { ApprovalRequest } from "../../contract/approvals.ts";
import { confirmationMessage } from "../../worker/chat/confirmation.ts";
import type { ChatMessage } from "../../contract/chat/message.ts";
import { runCard } from "../../durable-objects/chat-outbox/board/cards.ts";
import { approvalMessage } from "../../durable-objects/chat-outbox/board/posts.ts";
import { drawDiscord } from "../../durable-objects/chat-outbox/discord/message.ts";
import { rewriteRun, runOf, runStub, startRun, fireAlarm } from "./support/api.ts";
import { answered, button, newServer, type Interaction } from "./support/discord.ts";
import { RunLink } from "./support/fake-runner.ts";
import { deployStep } from "./support/flow-catalog.ts";
import { closeSockets } from "./support/socket.ts";
import { endObjects } from "./support/tidy.ts";

afterEach(closeSockets);
afterAll(endObjects);

const VIEW = { output: "balanced", safe: false } as const;
const PRIVATE = (1 << 15) | 64;
const UPDATE = 7;
const MESSAGE = 4;

interface Scene {
  runId: string;
  where: Parameters<typeof button>[1];
  /** The run's card, and the message of its approval, as they stand in the chat. */
  card: ChatMessage;
  approval: ChatMessage;
}

async function asking(more: Partial<ApprovalRequest> = {}): Promise<Scene> {
  const { runId } = await startRun(deployStep({ runner: "codex" }).type);
  const link = await RunLink.claim(runId, 1, "runner-a");
  link.seq += 1;
  const request: ApprovalRequest = {
    id: "a1",
    kind: "command",
    title: "git push",
    decisions: ["accept", "decline"],
  };
  link.tell({ type: "approval", seq: link.seq, request: { ...request, ...more } });
  await link.acked(link.seq);
  const server = await newServer();
  const run = await runOf(runId);
  const [open] = run.approvals ?? [];
  if (open === undefined) throw new Error("nothing is asked");
  return {
    runId,
    where: { server, by: server.owner },
    card: runCard({ run, eventType: "t", lines: [] }, VIEW),
    approval: approvalMessage(run, open, VIEW, []),
  };
}

/** The interaction comes from this message. */
function on(message: ChatMessage, given: Interaction): Interaction {
  return { ...given, message: { id: "9", components: drawDiscord(message).body.components } };
}

test("on its card, who decided is said to him alone, and the card is left to the outbox", async () => {
  const { runId, where, card } = await asking();
  const answer = await answered(on(card, button(`v1:approve:${runId}:a1`, where)));
  expect(answer).toMatchObject({ type: MESSAGE, data: { flags: PRIVATE } });
  expect(answer.text).toContain("Approved by");
});

test("on its own message, the answer takes its place", async () => {
  const { runId, where, approval } = await asking();
  const answer = await answered(on(approval, button(`v1:approve:${runId}:a1`, where)));
  expect(answer.type).toBe(UPDATE);
  expect(answer.text).toContain("Approved by");
});

test.each(["card", "approval"] as const)("one that has expired, on the %s", async (which) => {
  const scene = await asking();
  const { runId, where } = scene;
  await rewriteRun(runId, (run) => ({
    ...run,
    approvals: (run.approvals ?? []).map((one) => ({ ...one, expiresAt: Date.now() - 1 })),
  }));
  await fireAlarm(runStub(runId));
  const answer = await answered(on(scene[which], button(`v1:approve:${runId}:a1`, where)));
  expect(answer.type).toBe(which === "card" ? MESSAGE : UPDATE);
  expect(answer.text).toMatch(/nobody answered|no longer waits/);
});

test("the second press replaces the message that asked for it", async () => {
  const { runId, where } = await asking({ dangerous: true });
  const user = where.by.id;
  const given = { runId, approval: "a1", decision: "accept", title: "git push" } as const;
  const place = { platform: "discord", channel: "1" } as const;
  const asker = { place, tenant: "1", user: { id: user, name: "ada" }, roles: [], administrator: false };
  const asked = confirmationMessage({ ...asker, requestId: "1" }, given, Date.now());
  const yes = asked.buttons?.[0]?.[0]?.action ?? "";
  const answer = await answered(on(asked, button(yes, where)));
  expect(answer.type).toBe(UPDATE);
  expect(answer.text).toContain("Approved by");
});
