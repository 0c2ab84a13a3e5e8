/** Codex runs that people ask for in Telegram, with real event objects and a runner behind them. */
import { afterAll, afterEach, beforeAll, expect } from "vitest";
import type { FlowStep } from "../../../contract/flow-manifest.ts";
import { encodeAction } from "../../../contract/chat/action.ts";
import { RunLink } from "./fake-runner.ts";
import { deployStep } from "./flow-catalog.ts";
import { closeSockets } from "./socket.ts";
import { auditOf, message, person, take, type Chat, type Person } from "./telegram.ts";
import { endObjects } from "./tidy.ts";

/** A run that nobody has started. */
export const RUN = "run_0123456789abcdef_1";

/** Once in a file: a step that prompts start, and the end of what the tests leave. */
export function codexOfFile(more: Partial<FlowStep> = {}): void {
  beforeAll(() => {
    deployStep({ runner: "codex", trigger: { type: "codex.ask" }, ...more });
  });
  afterEach(closeSockets);
  afterAll(endObjects);
}

/** The run that somebody has asked for, by what the audit says came of it. */
export async function runAskedBy(who: Person): Promise<string> {
  const outcome = (await auditOf(who)).at(-1)?.outcome ?? "";
  expect(outcome).toMatch(/^started run_\S+$/);
  return outcome.replace("started ", "");
}

export async function startedRun(group: Chat): Promise<{ runId: string; link: RunLink; starter: Person }> {
  const starter = await person("starter", "run:start");
  await take(message(group, starter, "/ask do it"));
  const runId = await runAskedBy(starter);
  return { runId, link: await RunLink.claim(runId, 1, "runner-a"), starter };
}

export async function askLeave(link: RunLink, dangerous = false): Promise<void> {
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

/** What a button says when it is pressed. */
export function action(act: Parameters<typeof encodeAction>[0]["act"], runId: string, more?: string): string {
  return encodeAction({ act, runId, ...(more === undefined ? {} : { more }) }) ?? "";
}
