/** The figures of `ingest` through `wrangler dev`, whose proxy is in the way: to compare with, not judged. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startSetup } from "../runner-agent/dev/setup.ts";
import type { BenchOptions, Figure } from "./figures.ts";
import { round } from "./ingest.ts";
import { benchWorkspace } from "./workspace.ts";

export async function devProxy({ amount }: BenchOptions): Promise<Figure[]> {
  const state = await mkdtemp(join(tmpdir(), "codex-flow-bench-"));
  const workspace = join(state, "workspace");
  await benchWorkspace(workspace);
  const setup = await startSetup({ port: 0, state, workspace, runner: false, line: () => undefined });
  try {
    const { matched, crowded, unmatched } = await round(setup, setup.secrets.tokens.write, amount);
    return [
      { name: "matched, 16 at a time", value: matched.perSecond, unit: "/s" },
      { name: "matched, p99 of 64 at a time", value: crowded.p99Ms, unit: "ms" },
      { name: "unmatched, 16 at a time", value: unmatched.perSecond, unit: "/s" },
    ];
  } finally {
    await setup.stop();
    await rm(state, { recursive: true, force: true });
  }
}
