/**
 * `npm run demo`: a real release event travels through the edge to a runner agent and comes back as a result. Starts
 * everything on this machine, shows it with the commands that a user would type, and ends everything it started.
 */
import { cp, mkdir, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join, relative } from "node:path";
import { execa } from "execa";
import pc from "picocolors";
import { eventKey, runId } from "../contract/ids.ts";
import { startSetup, type Setup } from "../runner-agent/dev/setup.ts";
import { stopRequested } from "../runner-agent/dev/stop-requested.ts";
import { projectPath } from "./project.ts";

const FAILED = 1;

const root = projectPath(".codex-flow/demo");
const workspace = join(root, "workspace");
const checkout = join(workspace, ".codex-flow", "bindings");
const program = projectPath("bin/codex-flow.mjs");
const { version } = createRequire(import.meta.url)("@openai/codex/package.json") as { version: string };
const release = {
  id: `demo:upstream.release:openai/codex:rust-v${version}`,
  type: "upstream.release",
  source: "demo",
  payload: { repo: "openai/codex", tag: `rust-v${version}` },
};

const stop = stopRequested();
process.exitCode = await demo();

async function demo(): Promise<number> {
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
  const setup = await startSetup({
    port: 0,
    state: join(root, "state"),
    workspace,
    runner: true,
    line: () => undefined,
  });
  try {
    console.log(`  ${pc.green("●")} edge at ${setup.url}`);
    const broken = await Promise.race([stop.then(() => "stopped"), setup.broken, show(setup, eventFile)]);
    if (broken === "stopped") return FAILED;
    if (typeof broken === "object") {
      console.error(`error: the ${broken.name} ended by itself\n${broken.words}`);
      return FAILED;
    }
  } catch (error) {
    console.error(`error: ${error instanceof Error ? error.message : String(error)}`);
    return FAILED;
  } finally {
    await setup.stop();
  }
  goOn();
  return 0;
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

async function command(setup: Setup, args: string[]): Promise<void> {
  const shown = args.map((arg) => (arg.startsWith("/") ? relative(process.cwd(), arg) : arg)).join(" ");
  console.log(`\n${pc.cyan("$")} ${pc.bold(`codex-flow ${shown}`)}`);
  await execa(process.execPath, [program, ...args], {
    stdio: ["ignore", "inherit", "inherit"],
    env: { CODEX_FLOW_URL: setup.url, CODEX_FLOW_TOKEN: setup.secrets.tokens.admin },
  });
}

function heading(step: string, text: string): void {
  console.log(`\n${pc.bold(pc.green(step))} ${pc.bold(text)}`);
}

function goOn(): void {
  const here = (path: string): string => relative(process.cwd(), path);
  console.log(
    [
      "",
      `${pc.green("✔")} done, and everything that was started is stopped. The bindings are in ${pc.cyan(here(join(checkout, "bindings")))}`,
      "",
      "How to go on:",
      `  npm run dev                    ${pc.dim("an edge and a runner that keep running; it prints what to type next")}`,
      `  npx codex-flow flows new mine  ${pc.dim("a flow package of your own")}`,
      `  npx codex-flow --help          ${pc.dim("everything else")}`,
      "",
    ].join("\n"),
  );
}
