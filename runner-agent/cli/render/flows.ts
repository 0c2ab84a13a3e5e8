/** Flow packages as text: those of a workspace, their faults, those of an edge, and one just made. */
import { join, relative } from "node:path";
import { describeFault, type PackageFault } from "../../../catalog/fault.ts";
import type { Catalog, LoadedPackage } from "../../../catalog/load.ts";
import type { ScaffoldedFlow } from "../../../catalog/scaffold.ts";
import type { DeployedFlow } from "../../../client/http.ts";
import type { FlowStep } from "../../../contract/flow-manifest.ts";
import { table } from "./table.ts";
import { commandLine, countText, nextSteps, paragraphs, visible, type Style } from "./text.ts";

/** How much of a digest tells two apart at a glance; --json has all of it. */
const DIGEST_SHOWN_CHARS = 12;
const HEAD = ["flow", "version", "digest", "step", "runner", "type", "pool", "where"];

export function renderPackages(style: Style, workspace: string, catalog: Catalog): string {
  const { packages, faults, shadowed } = catalog;
  const broken = new Set(faults.map((fault) => fault.file)).size;
  return paragraphs([
    packages.length === 0
      ? `no flow packages in ${workspace}; make one with \`codex-flow flows new <name>\``
      : table(
          style,
          HEAD,
          packages.flatMap(({ flow, root }) => flowRows(flow, relative(workspace, root))),
        ),
    shadowed
      .map(({ name, root, by }) =>
        style.colors.yellow(
          `${relative(workspace, root)} is not used: ${relative(workspace, by)} has the name ${name} too`,
        ),
      )
      .join("\n"),
    broken === 0
      ? ""
      : style.colors.red(
          `${countText(broken, "file has faults", "files have faults")}: codex-flow flows check`,
        ),
  ]);
}

export function renderDeployed(style: Style, flows: readonly DeployedFlow[]): string {
  if (flows.length === 0) return "no flow is deployed";
  return table(
    style,
    HEAD.slice(0, -1),
    flows.flatMap((flow) => flowRows(flow)),
  );
}

function flowRows(flow: DeployedFlow, where?: string): string[][] {
  return (flow.steps as FlowStep[]).map((step, index) => [
    ...(index === 0
      ? [
          visible(flow.name),
          String(flow.version),
          visible(flow.digest.replace(/^sha256:/, "").slice(0, DIGEST_SHOWN_CHARS)),
        ]
      : ["", "", ""]),
    visible(step.name),
    step.runner,
    visible(step.trigger?.type ?? ""),
    visible(step.pool),
    ...(where === undefined ? [] : [index === 0 ? where : ""]),
  ]);
}

/** Faults one a line as editors read them, or one line that says that there are none. */
export function renderCheck(
  style: Style,
  packages: readonly LoadedPackage[],
  faults: readonly PackageFault[],
): string {
  if (faults.length > 0) return faults.map((fault) => visible(describeFault(fault))).join("\n");
  const steps = packages.reduce((sum, { flow }) => sum + flow.steps.length, 0);
  return style.colors.green(`${countText(packages.length, "flow")}, ${countText(steps, "step")}: no faults`);
}

/** `workspace` as it was typed: the commands that are shown name it in the same way. */
export function renderScaffold(style: Style, workspace: string, made: ScaffoldedFlow): string {
  const { type, payload } = made.event;
  const elsewhere = workspace === "." ? {} : { workspace };
  return paragraphs([
    made.files.map((file) => `${style.colors.green("made")}  ${join(workspace, file)}`).join("\n"),
    nextSteps(style, [
      [commandLine("codex-flow flows check", elsewhere), "is it right?"],
      [commandLine("codex-flow dev", elsewhere), "an edge and a runner that have it"],
      [`${commandLine("codex-flow dispatch", { type, payload: JSON.stringify(payload) })} --wait`, "run it"],
    ]),
  ]);
}
