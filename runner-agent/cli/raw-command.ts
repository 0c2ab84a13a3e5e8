/** `codex-flow runner raw`: where this machine keeps what Codex has told of a run, word for word. */
import { join, resolve } from "node:path";
import type { Command } from "commander";
import { parseAttemptId, parseRunId } from "../../contract/ids.ts";
import { EXIT } from "./exit-codes.ts";
import type { Act, Invocation } from "./invocation.ts";
import { examples } from "./option-values.ts";
import { UsageError } from "./problem.ts";

interface RawOptions {
  workspace: string;
  journal?: string;
  pool?: string;
  config?: string;
}

export function registerRaw(runner: Command, act: Act): void {
  const raw = runner
    .command("raw")
    .description("Show the raw Codex event logs of a run on this machine (JSON lines)")
    .argument("<run>", "id of the run")
    .option("--workspace <dir>", "the runner's workspace", ".")
    .option("--journal <dir>", "folder of the journal, if it is not in the workspace")
    .option("--pool <name>", "pool of the agent (default: pool of the configuration)")
    .option("--config <file>", "configuration file (default: .codex/runner.toml of the workspace)");
  examples(raw, [
    ["codex-flow runner raw run_…_1", "a file for each attempt, oldest first"],
    ["jq -c .method $(codex-flow runner raw run_…_1)", "what was told, in its order"],
  ]);
  act(raw, showRaw);
}

async function showRaw(invocation: Invocation, options: RawOptions, run: string): Promise<number> {
  if (parseRunId(run) === undefined)
    throw new UsageError(`${run} is no id of a run`, "`codex-flow runs list` shows them");
  const [{ rawFiles, rawFolder, RAW_KEPT_MS }, { visible }] = await Promise.all([
    import("../codex/raw-log.ts"),
    import("./render/text.ts"),
  ]);
  const folders = (await journalsOf(options)).map(rawFolder);
  const kept = (await Promise.all(folders.map((folder) => rawFiles(folder)))).flat();
  const files = kept.filter(({ attempt }) => parseAttemptId(attempt)?.runId === run);
  if (files.length === 0)
    throw new UsageError(
      `nothing of ${run} is kept in ${folders.join(" or ")}`,
      `only the machine that ran it keeps it, of codex and code-mode steps, for ${RAW_KEPT_MS / 3_600_000} hours; give its --workspace, --pool or --journal`,
    );
  await invocation.output.show({ files }, () => files.map(({ path }) => visible(path)).join("\n"));
  return EXIT.ok;
}

/** The journal of the workspace's runner, and that of `codex-flow dev`. */
async function journalsOf({ workspace, journal, pool, config }: RawOptions): Promise<string[]> {
  if (journal !== undefined) return [resolve(journal)];
  const root = resolve(workspace);
  const { readRunnerConfig } = await import("../config/runner-config.ts");
  const named =
    pool ??
    (await readRunnerConfig({ workspace: root, ...(config === undefined ? {} : { path: resolve(config) }) }))
      .pool;
  return [join(root, ".codex-flow", `runner-${named}`), join(root, ".codex-flow", "dev", "runner")];
}
