/** What `wrangler deploy` would upload. */
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { execa } from "execa";
import { projectPath } from "../scripts/project.ts";
import { atMost, type Figure } from "./figures.ts";

const GZIPPED_MAX_KB = 300;

export async function bundle(): Promise<Figure[]> {
  const folder = await mkdtemp(join(tmpdir(), "codex-flow-bench-"));
  try {
    await execa("wrangler", ["deploy", "--dry-run", "--outdir", folder], {
      cwd: projectPath(),
      preferLocal: true,
      localDir: projectPath(),
    });
    const scripts = (await readdir(folder)).filter((name) => name.endsWith(".js"));
    const bytes = await Promise.all(scripts.map((name) => readFile(join(folder, name))));
    const kilobytes = gzipSync(Buffer.concat(bytes)).length / 1024;
    return [atMost("the Worker, gzipped", kilobytes, "KB", GZIPPED_MAX_KB)];
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
