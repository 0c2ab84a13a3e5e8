/** `codex-flow flows`: the flow packages of a workspace, and those that an edge has deployed. */
import type { Command } from "commander";
import type { PackageFault } from "../../catalog/fault.ts";
import type { LoadedPackage } from "../../catalog/load.ts";
import { EXIT } from "./exit-codes.ts";
import type { Act, Invocation } from "./invocation.ts";
import { examples } from "./option-values.ts";
import { UsageError } from "./problem.ts";
import { existingFolder } from "./workspace-folder.ts";

interface WorkspaceOptions {
  workspace: string;
}

export function registerFlows(program: Command, act: Act): void {
  const flows = program.command("flows").description("Flow packages: list, check, new");
  const workspaceFlag = ["--workspace <dir>", "folder that holds .codex/flows and flows", "."] as const;

  const list = flows
    .command("list", { isDefault: true })
    .description("List the packages of a workspace, or those that the edge has deployed")
    .option(...workspaceFlag)
    .option("--deployed", "list those of the edge instead");
  examples(list, [
    ["codex-flow flows list", "packages of this folder"],
    ["codex-flow flows list --deployed", "what the edge has deployed"],
  ]);
  act<WorkspaceOptions & { deployed?: boolean }>(list, (invocation, options) =>
    options.deployed === true ? listDeployed(invocation) : listLocal(invocation, options),
  );

  const check = flows
    .command("check")
    .description("Check all packages; print each error as file:line:column key message")
    .option(...workspaceFlag);
  examples(check, [
    ["codex-flow flows check", "exit code 1 when there is an error: for a commit hook or CI"],
  ]);
  act(check, checkFlows);

  const create = flows
    .command("new")
    .description("Create a working flow package to start from")
    .argument("<name>", "name of the flow: a-z 0-9 - _")
    .option(...workspaceFlag);
  examples(create, [["codex-flow flows new release-notes", "creates flows/release-notes"]]);
  act(create, newFlow);
}

async function listLocal(invocation: Invocation, options: WorkspaceOptions): Promise<number> {
  const workspace = await existingFolder(options.workspace);
  const [{ loadCatalog }, { renderPackages }] = await Promise.all([
    import("../../catalog/load.ts"),
    import("./render/flows.ts"),
  ]);
  const catalog = await loadCatalog(workspace);
  const { packages, faults, shadowed } = catalog;
  const document = { packages: packages.map(({ root, flow }) => ({ root, flow })), faults, shadowed };
  await invocation.output.show(document, (style) => renderPackages(style, workspace, catalog));
  return EXIT.ok;
}

async function listDeployed(invocation: Invocation): Promise<number> {
  const { client } = await invocation.connect();
  const flows = await client.listFlows();
  const { renderDeployed } = await import("./render/flows.ts");
  await invocation.output.show({ flows }, (style) => renderDeployed(style, flows));
  return EXIT.ok;
}

async function checkFlows(invocation: Invocation, options: WorkspaceOptions): Promise<number> {
  const workspace = await existingFolder(options.workspace);
  const [{ loadCatalog }, { renderCheck }] = await Promise.all([
    import("../../catalog/load.ts"),
    import("./render/flows.ts"),
  ]);
  const { packages, faults: broken } = await loadCatalog(workspace);
  const faults = [...broken, ...(await codexFaults(packages))];
  const document = { checked: packages.map(({ flow }) => flow.name), faults };
  await invocation.output.show(document, (style) => renderCheck(style, packages, faults));
  return faults.length === 0 ? EXIT.ok : EXIT.bad;
}

/** What a prompt or an answer's schema gets wrong does not break a package: it ends each of its runs. */
async function codexFaults(packages: readonly LoadedPackage[]): Promise<PackageFault[]> {
  const kinds = packages.flatMap(({ flow }) => flow.steps.map(({ runner }) => runner));
  if (!kinds.includes("codex") && !kinds.includes("code-mode")) return [];
  const { checkCodexSteps } = await import("../codex/step/package-check.ts");
  return checkCodexSteps(packages).faults;
}

async function newFlow(invocation: Invocation, options: WorkspaceOptions, name: string): Promise<number> {
  const workspace = await existingFolder(options.workspace);
  const [{ scaffoldFlow, ScaffoldError }, { renderScaffold }] = await Promise.all([
    import("../../catalog/scaffold.ts"),
    import("./render/flows.ts"),
  ]);
  try {
    const made = await scaffoldFlow(workspace, name);
    await invocation.output.show(made, (style) => renderScaffold(style, options.workspace, made));
    return EXIT.ok;
  } catch (error) {
    if (!(error instanceof ScaffoldError)) throw error;
    throw new UsageError(error.message, "`codex-flow flows list` shows the names in use");
  }
}
