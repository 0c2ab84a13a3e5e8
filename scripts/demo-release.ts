/** The demo of a release: `upstream.release` of the Codex that is installed here, and the bindings that follow from it. */
import { cp, mkdir, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { execa } from "execa";
import pc from "picocolors";
import { eventKey, runId } from "../contract/ids.ts";
import type { Setup } from "../runner-agent/dev/setup.ts";
import { command, fromHere, heading, onStage } from "./demo-stage.ts";
import { projectPath } from "./project.ts";

const root = projectPath(".codex-flow/demo");
const workspace = join(root, "workspace");
const checkout = join(workspace, ".codex-flow", "bindings");
const { version } = createRequire(import.meta.url)("@openai/codex/package.json") as { version: string };
const release = {
  id: `demo:upstream.release:openai/codex:rust-v${version}`,
  type: "upstream.release",
  source: "demo",
  payload: { repo: "openai/codex", tag: `rust-v${version}` },
};

/** Returns whether it was shown to its end. */
export async function demoRelease(): Promise<boolean> {
  heading(
    "1",
    `an empty workspace with the flow packages of this project, and a git checkout for the bindings`,
  );
  await rm(root, { recursive: true, force: true });
  await mkdir(checkout, { recursive: true });
  await cp(projectPath("flows"), join(workspace, "flows"), { recursive: true });
  await execa("git", ["init", "--quiet", checkout]);
  const eventFile = join(workspace, "release.json");
  await writeFile(eventFile, `${JSON.stringify(release, null, 2)}\n`);

  heading("2", "the edge (workerd) and a runner agent start on this machine");
  const shown = await onStage({ state: join(root, "state"), workspace }, (setup) => show(setup, eventFile));
  if (shown) goOn();
  return shown;
}

async function show(setup: Setup, eventFile: string): Promise<void> {
  const run = runId(await eventKey(release.id), 1);
  heading("3", `Codex ${version} is released: the event is sent to the edge`);
  console.log(pc.dim(JSON.stringify(release)));
  await command(setup, ["dispatch", eventFile]);
  heading("4", "the runner agent has claimed the run; its output, live");
  await command(setup, ["runs", "logs", "-f", run]);
  heading("5", "what the edge knows of it now");
  await command(setup, ["runs", "show", run]);
}

function goOn(): void {
  console.log(
    [
      "",
      `${pc.green("✔")} done, and everything that was started is stopped. The bindings are in ${pc.cyan(fromHere(join(checkout, "bindings")))}`,
      "",
      "How to go on:",
      `  npm run dev                    ${pc.dim("an edge and a runner that keep running; it prints what to type next")}`,
      `  npm run demo -- --codex        ${pc.dim("a step that is Codex itself, with an approval")}`,
      `  codex-flow flows new mine      ${pc.dim("a flow package of your own")}`,
      `  codex-flow --help              ${pc.dim("everything else")}`,
      "",
    ].join("\n"),
  );
}
