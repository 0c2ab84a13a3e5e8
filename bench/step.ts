/**
 * What the agent's step runner adds to a bare spawn of the same script: context in, output read, results found, the
 * process tree proven gone. Both run in turn, so that a slow moment of the machine hits both.
 */
import { spawn } from "node:child_process";
import { mkdtemp, mkdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { resolveManifest, type RunnerKind } from "../contract/flow-manifest.ts";
import { startStep } from "../runner-agent/steps/start-step.ts";
import type { StepRequest } from "../runner-agent/steps/step.ts";
import { projectPath } from "../scripts/project.ts";
import { atMost, median, type BenchOptions, type Figure } from "./figures.ts";

const WARM_UP = 3;
const PAIRS = 40;
const ANCESTOR_MS = 28;
const OVERHEAD_MAX_MS = 10;
const OVERHEAD_AIM_MS = 3;

const SCRIPTS = {
  raw: `console.log('FLOW_RESULT {"status":"completed"}');\n`,
  module: `export default () => ({ status: "completed" });\n`,
};
const KINDS: readonly RunnerKind[] = ["bun", "node"];

export async function step({ amount }: BenchOptions): Promise<Figure[]> {
  const root = await mkdtemp(join(tmpdir(), "codex-flow-bench-"));
  try {
    await mkdir(join(root, "exec"));
    const figures: Figure[] = [];
    for (const runner of KINDS)
      for (const [style, text] of Object.entries(SCRIPTS)) {
        const script = `exec/${style}.mjs`;
        await writeFile(join(root, script), text);
        const [bare, overhead] = await pairs(requestFor(runner, root, script), amount(PAIRS, 1));
        figures.push(
          { name: `${runner}, ${style}: bare spawn`, value: bare, unit: "ms" },
          atMost(`${runner}, ${style}: step over it`, overhead, "ms", OVERHEAD_MAX_MS, {
            ancestor: ANCESTOR_MS,
            aim: OVERHEAD_AIM_MS,
          }),
        );
      }
    return figures;
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}

/** Medians of the bare spawn and of what a step took longer than the spawn beside it, milliseconds. */
async function pairs(request: StepRequest, count: number): Promise<[number, number]> {
  const bare: number[] = [];
  const overhead: number[] = [];
  for (let n = 0; n < WARM_UP + count; n += 1) {
    const times = [await timed(() => bareSpawn(request)), await timed(() => runStep(request))];
    if (n < WARM_UP) continue;
    bare.push(times[0] ?? 0);
    overhead.push((times[1] ?? 0) - (times[0] ?? 0));
  }
  return [median(bare), median(overhead)];
}

async function timed(work: () => Promise<void>): Promise<number> {
  const began = performance.now();
  await work();
  return performance.now() - began;
}

function bareSpawn({ flow, step, env }: StepRequest): Promise<void> {
  const program = step.runner === "bun" ? projectPath("node_modules/bun/bin/bun.exe") : process.execPath;
  return new Promise((resolve, reject) => {
    const child = spawn(program, [join(flow.root, step.script)], {
      env: env.variables,
      stdio: ["pipe", "pipe", "pipe"],
    });
    // A script that reads nothing may be gone before this is written.
    child.stdin.on("error", () => undefined);
    child.stdin.end("{}\n");
    child.stdout.resume();
    child.stderr.resume();
    child.on("error", reject);
    child.on("close", () => {
      resolve();
    });
  });
}

async function runStep(request: StepRequest): Promise<void> {
  let result: string | undefined;
  const running = startStep(request, {
    output: () => undefined,
    signalled: () => undefined,
    result: ({ status }) => {
      result = status;
    },
  });
  const end = await running.ended;
  if (result !== "completed") throw new Error(`the step ended without its result: ${JSON.stringify(end)}`);
}

function requestFor(runner: RunnerKind, root: string, script: string): StepRequest {
  const manifest = { name: "bench", version: 1, steps: [{ name: "one", runner, script }] };
  const [flowStep] = resolveManifest(manifest, "digest").steps;
  if (flowStep === undefined) throw new Error("the manifest has lost its step");
  return {
    runId: "run_0123456789abcdef_1",
    attempt: 1,
    flow: { name: "bench", version: 1, root },
    step: flowStep,
    event: { id: "e:1", type: "bench.step", receivedAt: "2026-01-01T00:00:00Z", payload: {} },
    replay: false,
    edgeUrl: "http://127.0.0.1:1",
    env: { variables: { PATH: process.env["PATH"] ?? "", HOME: tmpdir() }, secrets: [] },
  };
}
