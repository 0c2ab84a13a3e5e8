/**
 * A workspace for stories: flow packages whose steps write down on disk when they start and end, so that a test can
 * tell what really ran from what anybody claims.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { temporaryFolder, writeFiles, type AtEnd } from "./flow-workspace.ts";

/** Lines that every `work` step prints; whole output means all of them. */
export const WORK_LINES = 5;

const preamble = `
import { appendFileSync } from "node:fs";
const { flow, runtime } = JSON.parse(await new Response(process.stdin).text());
const note = (what) => appendFileSync("../../diary.jsonl", JSON.stringify({ what, run: runtime.runId, attempt: runtime.attemptId, event: flow.event.id, at: Date.now() }) + "\\n");
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
note("start");
`;

const steps: Record<string, { runner: string; source: string; toml?: string }> = {
  /** Prints its lines with pauses and completes. */
  work: {
    runner: "node",
    source: `${preamble}
      for (let line = 1; line <= ${WORK_LINES}; line += 1) { console.log("line " + line + " of " + runtime.runId); await pause(flow.event.payload.pauseMs ?? 40); }
      note("end");
      console.log("FLOW_RESULT " + JSON.stringify({ status: "completed", message: "done", next: flow.event.payload.next }));`,
  },
  /** The same, one at a time for an equal repository. */
  keyed: {
    runner: "node",
    source: `${preamble} await pause(60); note("end"); console.log('FLOW_RESULT {"status":"changed"}');`,
    toml: `[steps.concurrency]\nkey = "{{payload.repo}}"\nlimit = 1\n`,
  },
  /** Says that it cannot go on without someone's help; its process ends well. */
  blocked: {
    runner: "node",
    source: `${preamble} note("end"); console.log('FLOW_RESULT {"status":"blocked","message":"waits for a decision"}');`,
  },
  /** Tried up to three times when its runner is lost. */
  stubborn: {
    runner: "node",
    source: `${preamble} await pause(flow.event.payload.pauseMs ?? 40); note("end"); console.log('FLOW_RESULT {"status":"completed"}');`,
    toml: `[steps.retry]\nattempts = 3\non = ["lost"]\nbackoff_ms = 10\n`,
  },
  /** Ignores SIGTERM and has a child in a session of its own that ignores it too. */
  deaf: {
    runner: "node",
    source: `${preamble}
      process.on("SIGTERM", () => {});
      const { spawn } = await import("node:child_process");
      spawn("sh", ["-c", "trap '' TERM; while true; do sleep 0.1; done"], { detached: true, stdio: "ignore" }).unref();
      console.log("deaf"); setInterval(() => {}, 1000);`,
  },
};

export interface StoryWorkspace {
  root: string;
  diary(): Promise<DiaryEntry[]>;
}
export interface DiaryEntry {
  what: "start" | "end";
  run: string;
  attempt: string;
  event: string;
  at: number;
}

export async function storyWorkspace(atEnd?: AtEnd): Promise<StoryWorkspace> {
  const root = await temporaryFolder(atEnd);
  const files = Object.entries(steps).flatMap(([name, { runner, source, toml = "" }]) => [
    [
      `flows/${name}/flow.toml`,
      `name = "${name}"\nversion = 1\n[[steps]]\nname = "${name}"\nrunner = "${runner}"\nscript = "exec/${name}.mjs"\n[steps.trigger]\ntype = "story.${name}"\n${toml}`,
    ],
    [`flows/${name}/exec/${name}.mjs`, source],
  ]);
  await writeFiles(root, Object.fromEntries(files) as Record<string, string>);
  return {
    root,
    diary: async () => {
      const text = await readFile(join(root, "diary.jsonl"), "utf8").catch(() => "");
      return text
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => JSON.parse(line) as DiaryEntry);
    },
  };
}
