/** `codex-flow runner worktrees`: the worktrees that runs have left in a workspace, and how to be rid of them. */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import type { Command } from "commander";
import { EXIT } from "./exit-codes.ts";
import type { Act, Invocation } from "./invocation.ts";
import { examples } from "./option-values.ts";
import { UsageError } from "./problem.ts";

interface WorkspaceOptions {
  workspace: string;
}

export function registerWorktrees(runner: Command, act: Act): void {
  const worktrees = runner.command("worktrees").description("Worktrees of runs on this machine: list, prune");
  const workspaceFlag = ["--workspace <dir>", "the runner's workspace", "."] as const;

  const list = worktrees
    .command("list", { isDefault: true })
    .description("List age, size, state, and why each is kept")
    .option(...workspaceFlag);
  examples(list, [["codex-flow runner worktrees", "what is in use, and what is kept"]]);
  act(list, listWorktrees);

  const prune = worktrees
    .command("prune")
    .description("Remove worktrees whose work is clean and pushed; keep the others")
    .option(...workspaceFlag)
    .option("--force <id>", "remove this one, including the work in it");
  examples(prune, [
    ["codex-flow runner worktrees prune", "after you have pushed what was kept"],
    ["codex-flow runner worktrees prune --force run_…_a1", "its changes and commits are lost"],
  ]);
  act(prune, pruneWorktrees);
}

async function listWorktrees(invocation: Invocation, options: WorkspaceOptions): Promise<number> {
  const [workspaces, { worktreeRow, renderWorktrees }] = await Promise.all([
    open(options),
    import("./render/worktrees.ts"),
  ]);
  const worktrees = (await workspaces.list()).map(worktreeRow);
  await invocation.output.show({ worktrees }, (style) => renderWorktrees(style, worktrees));
  return EXIT.ok;
}

async function pruneWorktrees(
  invocation: Invocation,
  options: WorkspaceOptions & { force?: string },
): Promise<number> {
  const [workspaces, { renderPruned }, { WorkspaceError }] = await Promise.all([
    open(options),
    import("./render/worktrees.ts"),
    import("../workspace/workspace-error.ts"),
  ]);
  try {
    const pruned =
      options.force === undefined
        ? await workspaces.prune()
        : { removed: [(await workspaces.force(options.force)).path], kept: [] };
    await invocation.output.show(pruned, () => renderPruned(pruned));
    return EXIT.ok;
  } catch (error) {
    if (!(error instanceof WorkspaceError)) throw error;
    throw new UsageError(error.message, "`codex-flow runner worktrees` lists them with their ids");
  }
}

async function open({ workspace }: WorkspaceOptions) {
  const path = resolve(workspace);
  if (!existsSync(path))
    throw new UsageError(`there is no folder ${path}`, "pass --workspace <dir>, the runner's workspace");
  const { Workspaces } = await import("../workspace/workspaces.ts");
  // Nothing is made here, so neither quota nor repositories matter.
  const quota = { max: Infinity, maxGb: Infinity };
  return new Workspaces({ workspace: path, runnerId: "", repositories: {}, projects: {}, quota });
}
