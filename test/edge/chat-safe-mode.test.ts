/** Safe mode: what everybody in a chat can read has no bodies, whoever asked for it by a button or a command. */
import { afterAll, afterEach, expect, test } from "vitest";
import { encodeAction, type ChatActionName } from "../../contract/chat/action.ts";
import type { ChatMessage } from "../../contract/chat/message.ts";
import { startRun, until, call, expectJson } from "./support/api.ts";
import { answered, button, command, newServer } from "./support/discord.ts";
import { RunLink } from "./support/fake-runner.ts";
import { deployStep } from "./support/flow-catalog.ts";
import { closeSockets } from "./support/socket.ts";
import { boundGroup, message, press, saidIn, take, type Chat } from "./support/telegram.ts";
import { endObjects } from "./support/tidy.ts";

afterEach(closeSockets);
afterAll(endObjects);

const PRINTED = "what the step has printed";
const ASKED = "git push --force origin main";
const CHANGED = "src/secret-plan.ts";

/** A run with output and an open approval, and one that is over and has changed a file. */
async function runs(): Promise<{ asking: string; over: string }> {
  const claim = async (): Promise<{ runId: string; link: RunLink }> => {
    const { runId } = await startRun(deployStep({ runner: "codex" }).type);
    const link = await RunLink.claim(runId, 1, "runner-a");
    await link.print(`${PRINTED}\n`);
    return { runId, link };
  };
  const asking = await claim();
  asking.link.seq += 1;
  const request = {
    id: "a1",
    kind: "command",
    title: "push",
    detail: ASKED,
    decisions: ["accept", "decline"],
  } as const;
  asking.link.tell({
    type: "approval",
    seq: asking.link.seq,
    request: { ...request, decisions: [...request.decisions] },
  });
  await asking.link.acked(asking.link.seq);
  const over = await claim();
  const changedFiles = [{ path: CHANGED, kind: "update", addedLines: 3, removedLines: 1 }];
  const diff = { files: 1, addedLines: 3, removedLines: 1 };
  await over.link.complete({ status: "changed", artifacts: { changedFiles, diff } });
  return { asking: asking.runId, over: over.runId };
}

const action = (act: ChatActionName, runId: string, more?: string): string =>
  encodeAction({ act, runId, ...(more === undefined ? {} : { more }) }) ?? "";

async function lastIn(chat: Chat, after: number): Promise<ChatMessage> {
  return until(async () => {
    const said = await saidIn(chat);
    expect(said.length).toBeGreaterThan(after);
    return said.at(-1) as ChatMessage;
  });
}

test.each([
  ["off", true],
  ["on", false],
])("of Telegram, %s: the end of the output, a diff and an approval have bodies: %s", async (safe, shown) => {
  const { group, admin } = await boundGroup();
  await take(message(group, admin, `/settings safe=${safe}`));
  const { asking, over } = await runs();
  const asks: [update: unknown, body: string][] = [
    [press(group, admin, action("logs", asking)), PRINTED],
    [message(group, admin, `/logs ${asking}`), PRINTED],
    [press(group, admin, action("details", asking, "a1")), ASKED],
    [press(group, admin, action("diff", over)), CHANGED],
  ];
  for (const [update, body] of asks) {
    const before = (await saidIn(group)).length;
    await take(update);
    const said = await lastIn(group, before);
    const words = JSON.stringify(said);
    if (shown) expect(words).toContain(body);
    else {
      expect(words).not.toContain(body);
      expect(words).toContain("safe mode");
      expect(said).not.toHaveProperty("links");
    }
    if (body === CHANGED) expect(words).toContain("1 file  +3 -1");
  }
});

test("of Discord: who may ask is shown it alone, since an approver has to see what he allows; but no link", async () => {
  const server = await newServer();
  const where = { server, by: server.owner };
  await answered(command("channel set", { safe: true }, where));
  const { asking } = await runs();
  const logs = await answered(button(action("logs", asking), where));
  expect(logs.text).toContain(PRINTED);
  expect(logs.data.flags).toBe((1 << 15) | 64);
  expect(JSON.stringify(logs)).not.toContain("/log?");
  const details = await answered(button(action("details", asking, "a1"), where));
  expect(details.text).toContain(ASKED);
  expect(details.data.flags).toBe((1 << 15) | 64);
});

test("a relayed session that waits says that its relay is missing, wherever it is looked at", async () => {
  const server = await newServer();
  const where = { server, by: server.owner };
  await answered(command("codeflow on", {}, where));
  const body = {
    ...{ id: crypto.randomUUID(), mode: "run", agent: "Codex", title: "t", workdir: "/x" },
    ...{ place: { platform: "discord", channel: server.channel }, timeoutMs: 60_000, silenceMs: 60_000 },
  };
  const { runId } = await expectJson<{ runId: string }>(call("POST", "/relay/sessions", { body }), 202);
  expect((await answered(command("flow show", { run: runId }, where))).text).toContain(
    "waits for the relay that began it",
  );
});
