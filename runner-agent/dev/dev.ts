/** `codex-flow dev`: a whole set-up that runs until it is stopped. */
import { join, resolve } from "node:path";
import pc from "picocolors";
import { loadCatalog } from "../../catalog/load.ts";
import { EXIT } from "../cli/exit-codes.ts";
import { shellWord } from "../cli/render/text.ts";
import { projectRoot, SetupError, startSetup, type Setup } from "./setup.ts";
import { stopRequested } from "./stop-requested.ts";

export interface DevOptions {
  port: number;
  /** Folder of the edge's state, the secrets and the runner's journal. */
  state?: string | undefined;
  /** Folder whose .codex/flows and flows are compiled and run. */
  workspace?: string | undefined;
  runner: boolean;
  json: boolean;
}

/** Runs until a signal, or until whoever started it is gone. Returns the exit code. */
export async function runDev(options: DevOptions): Promise<number> {
  const stop = stopRequested();
  const project = projectRoot();
  const say = (text: string): void => {
    process.stderr.write(`${text}\n`);
  };
  try {
    const setup = await startSetup({
      port: options.port,
      state: options.state ?? join(project, ".codex-flow", "dev"),
      workspace: options.workspace ?? project,
      runner: options.runner,
      line: (name, text) => {
        say(`${pc.dim(`${name.padEnd(6)} │`)} ${text}`);
      },
    });
    announce(setup, options, await firstSteps(options.workspace ?? project));
    const broken = await Promise.race([stop, setup.broken]);
    await setup.stop();
    if (broken === undefined) return EXIT.ok;
    say(`error: the ${broken.name} ended by itself\n${broken.words}`);
    return EXIT.internal;
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    say(`error: ${error.message}`);
    return EXIT.internal;
  }
}

/** What to try first in a workspace: its demo, what it has, or the making of something. */
export async function firstSteps(workspace: string): Promise<string[]> {
  const { packages } = await loadCatalog(resolve(workspace));
  const types = packages.flatMap(({ flow }) => flow.steps.map((step) => step.trigger?.type));
  if (types.includes("demo.hello"))
    return [`npx codex-flow dispatch --type demo.hello --payload '{"name":"Ada"}' --wait`];
  const where = `--workspace ${shellWord(workspace)}`;
  return packages.length === 0
    ? [`npx codex-flow flows new my-flow ${where}`]
    : [`npx codex-flow flows list ${where}`];
}

function announce({ url, secrets }: Setup, options: DevOptions, steps: string[]): void {
  if (options.json) {
    process.stdout.write(`${JSON.stringify({ url, ...secrets })}\n`);
    return;
  }
  const { tokens, eventSecret } = secrets;
  process.stdout.write(
    [
      "",
      `${pc.green("●")} ${pc.bold("codex-flow is running")} at ${pc.cyan(url)}`,
      "",
      `  export CODEX_FLOW_URL=${url}`,
      `  export CODEX_FLOW_TOKEN=${tokens.admin}`,
      "",
      pc.dim("  npx codex-flow status"),
      ...steps.map((step) => pc.dim(`  ${step}`)),
      "",
      pc.dim(`  read ${tokens.read}  write ${tokens.write}  runner ${tokens.runner}`),
      pc.dim(`  event secret ${eventSecret}`),
      "",
    ].join("\n"),
  );
}
