/** Runs of real event objects, shown by a board in channels of one Discord, each test in a channel of its own. */
import { afterAll, afterEach, beforeAll, expect } from "vitest";
import type { AgentItem } from "../../../contract/agent-item.ts";
import type { ApprovalRequest } from "../../../contract/approvals.ts";
import type { FlowStep } from "../../../contract/flow-manifest.ts";
import { NO_LIMITS } from "../../support/fake-discord/options.ts";
import type { SeenChats, SeenMessage } from "../../support/chat-fakes/orders.ts";
import { startRun } from "./api.ts";
import { TestBoard } from "./board.ts";
import { addChannels, inChannel, look, startDiscord, type DiscordFake } from "./chat-fakes.ts";
import { RunLink } from "./fake-runner.ts";
import { deployStep } from "./flow-catalog.ts";
import { closeSockets } from "./socket.ts";
import { endObjects } from "./tidy.ts";

export const ADA = { id: "77", name: "ada" };
export const ADA_RINGS = "user:77";

/** Once in a file: its Discord, which is there when its tests run, and the end of what they leave. */
export function discordOfFile(): { fake: DiscordFake } {
  const scene = {} as { fake: DiscordFake };
  beforeAll(async () => {
    scene.fake = await startDiscord({ limits: NO_LIMITS });
  });
  afterEach(closeSockets);
  afterAll(endObjects);
  return scene;
}

export async function running(more: Partial<FlowStep> = {}): Promise<{ runId: string; link: RunLink }> {
  const { runId } = await startRun(deployStep({ runner: "codex", ...more }).type);
  return { runId, link: await RunLink.claim(runId, 1, "runner-a") };
}

export async function askLeave(link: RunLink, change: Partial<ApprovalRequest> = {}): Promise<void> {
  link.seq += 1;
  const request: ApprovalRequest = {
    id: "ap1",
    kind: "command",
    title: "git push",
    decisions: ["accept", "decline"],
    ...change,
  };
  link.tell({ type: "approval", seq: link.seq, request });
  await link.acked(link.seq);
}

export async function sendItems(link: RunLink, items: AgentItem[]): Promise<void> {
  link.tell({ type: "output", chunks: items.map((item) => link.chunk(JSON.stringify(item), "agent")) });
  await link.acked(link.seq);
}

/** A board, and a channel of its own where nothing else is shown. */
export async function withBoard(
  fake: DiscordFake,
  act: (board: TestBoard, channel: string) => Promise<void>,
): Promise<void> {
  const [channel = ""] = await addChannels(fake, 1);
  await act(TestBoard.onDiscord(fake), channel);
  expect((await look(fake)).faults).toEqual([]);
}

/** What stands in the threads of a channel, oldest first. */
export function inThreads(seen: SeenChats, channel: string): SeenMessage[] {
  return seen.threads.filter(({ parent }) => parent === channel).flatMap(({ id }) => inChannel(seen, id));
}

export function titles(messages: SeenMessage[]): string[] {
  return messages.map(({ text }) =>
    (text.split("\n").find((line) => line.startsWith("### ")) ?? text).slice(4),
  );
}
