/** `codex-flow dev`: a whole set-up that runs until it is stopped. */
import { join, resolve } from "node:path";
import pc from "picocolors";
import { loadCatalog } from "../../catalog/load.ts";
import { EXIT } from "../cli/exit-codes.ts";
import { shellWord } from "../cli/render/text.ts";
import { projectRoot, startSetup, type Setup } from "./setup.ts";
import { SetupError } from "./setup-error.ts";
import { stopRequested } from "./stop-requested.ts";

export interface DevOptions {
  port: number;
  /** Folder of the edge's state, the secrets and the runner's journal (default: .codex-flow/dev of the workspace). */
  state?: string | undefined;
  /** Folder whose .codex/flows and flows are compiled and run (default: the current one). */
  workspace?: string | undefined;
  runner: boolean;
  json: boolean;
}

/** Runs until a signal, or until whoever started it is gone. Returns the exit code. */
export async function runDev(options: DevOptions): Promise<number> {
  const stop = stopRequested();
  const workspace = resolve(options.workspace ?? ".");
  const say = (text: string): void => {
    process.stderr.write(`${text}\n`);
  };
  try {
    const setup = await startSetup({
      port: options.port,
      state: options.state ?? join(workspace, ".codex-flow", "dev"),
      workspace,
      runner: options.runner,
      line: (name, text) => {
        say(`${pc.dim(`${name.padEnd(6)} │`)} ${text}`);
      },
    });
    announce(setup, { ...options, workspace }, await firstSteps(workspace));
    const broken = await Promise.race([stop, setup.broken]);
    await setup.stop();
    if (broken === undefined) return EXIT.ok;
    say(`error: the ${broken.name} ended by itself\n${broken.words}`);
    return EXIT.internal;
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    say(`error: ${error.message}`);
    if (error.fix !== undefined) say(`fix: ${error.fix}`);
    return error.fix === undefined ? EXIT.internal : EXIT.usage;
  }
}

/** What to try first in a workspace: its demo, an event that it waits for, or the making of a flow. */
export async function firstSteps(workspace: string): Promise<string[]> {
  const { packages } = await loadCatalog(resolve(workspace));
  const types = packages.flatMap(({ flow }) => flow.steps.flatMap((step) => step.trigger?.type ?? []));
  if (types.includes("demo.hello"))
    return [`codex-flow dispatch --type demo.hello --payload '{"name":"Ada"}' --wait`];
  const where = `--workspace ${shellWord(workspace)}`;
  if (packages.length === 0) return [`codex-flow flows new my-flow ${where}`];
  const [type] = types;
  return [
    `codex-flow flows list ${where}`,
    ...(type === undefined ? [] : [`codex-flow dispatch --type ${shellWord(type)} --payload '{}' --dry-run`]),
  ];
}

function announce(
  { url, secrets }: Setup,
  options: DevOptions & { workspace: string },
  steps: string[],
): void {
  if (options.json) {
    process.stdout.write(`${JSON.stringify({ url, ...secrets })}\n`);
    return;
  }
  const { tokens, eventSecret, webhookSecret } = secrets;
  const runner = `CODEX_FLOW_TOKEN=${tokens.runner} codex-flow runner start --workspace ${shellWord(options.workspace)}`;
  process.stdout.write(
    [
      "",
      `${pc.green("●")} ${pc.bold("codex-flow is running")} at ${pc.cyan(url)}`,
      "",
      "  In another terminal:",
      `  export CODEX_FLOW_URL=${url}`,
      `  export CODEX_FLOW_TOKEN=${tokens.admin}`,
      `  alias codex-flow=${shellWord(`node ${shellWord(join(projectRoot(), "bin", "codex-flow.mjs"))}`)}`,
      "",
      pc.dim("  codex-flow status"),
      ...steps.map((step) => pc.dim(`  ${step}`)),
      ...(options.runner ? [] : [pc.dim(`  ${runner}`)]),
      "",
      pc.dim("  Other tokens, for what should do less than the one above:"),
      pc.dim(`    read ${tokens.read}  send and cancel ${tokens.write}  run steps ${tokens.runner}`),
      pc.dim("  Secrets, for senders that sign their events (docs/http.md):"),
      pc.dim(`    EVENT_SECRETS ${eventSecret}  WEBHOOK_SECRETS ${webhookSecret}`),
      "",
    ].join("\n"),
  );
}
