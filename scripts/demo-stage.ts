/**
 * What the demos share: the edge and the agent behind them, headings, and commands that are run as a user would type
 * them. It starts the set-up and ends it on every path.
 */
import { relative } from "node:path";
import { execa } from "execa";
import pc from "picocolors";
import { startSetup, type Setup } from "../runner-agent/dev/setup.ts";
import { stopRequested } from "../runner-agent/dev/stop-requested.ts";
import { projectPath } from "./project.ts";

const program = projectPath("bin/codex-flow.mjs");

export function heading(step: string, text: string): void {
  console.log(`\n${pc.bold(pc.green(step))} ${pc.bold(text)}`);
}

/** Runs `codex-flow` as a process of its own, and shows both the line and what it prints. */
export async function command(setup: Setup, args: string[]): Promise<void> {
  const shown = args.map((arg) => (arg.startsWith("/") ? fromHere(arg) : arg)).join(" ");
  console.log(`\n${pc.cyan("$")} ${pc.bold(`codex-flow ${shown}`)}`);
  await execa(process.execPath, [program, ...args], {
    stdio: ["ignore", "inherit", "inherit"],
    env: { CODEX_FLOW_URL: setup.url, CODEX_FLOW_TOKEN: setup.secrets.tokens.admin },
  });
}

/** A path as the reader can type it. */
export function fromHere(path: string): string {
  return relative(process.cwd(), path);
}

/** Shows something on a set-up of its own. True when it was shown to its end; the set-up is stopped in any case. */
export async function onStage(
  given: { state: string; workspace: string },
  show: (setup: Setup) => Promise<void>,
): Promise<boolean> {
  const stop = stopRequested();
  const setup = await startSetup({ ...given, port: 0, runner: true, line: () => undefined });
  try {
    console.log(`  ${pc.green("●")} edge at ${setup.url}`);
    const broken = await Promise.race([stop.then(() => "stopped"), setup.broken, show(setup)]);
    if (broken === "stopped") return false;
    if (typeof broken === "object") {
      console.error(`error: the ${broken.name} ended by itself\n${broken.words}`);
      return false;
    }
    return true;
  } catch (error) {
    console.error(`error: ${error instanceof Error ? error.message : String(error)}`);
    return false;
  } finally {
    await setup.stop();
  }
}
