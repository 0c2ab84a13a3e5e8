/** What `wrangler deploy` would upload, and what it does before its first request. */
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { atMost, type Figure } from "./figures.ts";
import { wrangler } from "./wrangler.ts";

const GZIPPED_MAX_KB = 300;
/** Cloudflare refuses a Worker that takes a second to start; a tenth of that is "well under". */
const STARTUP_MAX_MS = 100;
const IDLE = "(idle)";

/** The parts of a CPU profile that are read here (Chrome DevTools protocol, Profiler.Profile); times in µs. */
interface CpuProfile {
  nodes: { id: number; callFrame: { functionName: string } }[];
  samples: number[];
  timeDeltas: number[];
}

export async function bundle(): Promise<Figure[]> {
  const folder = await mkdtemp(join(tmpdir(), "codex-flow-bench-"));
  try {
    await wrangler("deploy", "--dry-run", "--outdir", folder);
    const scripts = (await readdir(folder)).filter((name) => name.endsWith(".js"));
    const bytes = await Promise.all(scripts.map((name) => readFile(join(folder, name))));
    const kilobytes = gzipSync(Buffer.concat(bytes)).length / 1024;
    return [
      atMost("the Worker, gzipped", kilobytes, "KB", GZIPPED_MAX_KB),
      atMost("start-up, busy", await startupMs(join(folder, "startup.cpuprofile")), "ms", STARTUP_MAX_MS),
    ];
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Time in which the isolate had something to do before it could answer, in workerd on this machine. */
async function startupMs(file: string): Promise<number> {
  await wrangler("check", "startup", "--outfile", file);
  const profile = JSON.parse(await readFile(file, "utf8")) as CpuProfile;
  const idle = new Set(
    profile.nodes.filter((node) => node.callFrame.functionName === IDLE).map(({ id }) => id),
  );
  const busyUs = profile.samples.reduce(
    (sum, node, index) => sum + (idle.has(node) ? 0 : (profile.timeDeltas[index] ?? 0)),
    0,
  );
  return busyUs / 1000;
}
