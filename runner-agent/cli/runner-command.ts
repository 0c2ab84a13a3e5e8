/** `codex-flow runner start`: reads the flags and hands over to the runner agent, which is imported only then. */
import type { Command } from "commander";
import { RUNNER_CAPACITY_MAX } from "../../contract/limits.ts";
import { missingToken } from "./configuration.ts";
import type { Act, Invocation } from "./invocation.ts";
import { collect, examples, wholeNumber } from "./option-values.ts";
import { registerWorktrees } from "./worktrees-command.ts";

interface RunnerOptions {
  name?: string;
  pool?: string;
  label?: string[];
  capacity?: number;
  workspace: string;
  journal?: string;
}

export function registerRunner(program: Command, act: Act): void {
  const runner = program.command("runner").description("The agent that runs steps on this machine");
  const start = runner
    .command("start")
    .description("Connect to the edge and run what it offers, until stopped; the machine opens no port")
    .option("--name <name>", "how people see it (default: the machine's name)")
    .option("--pool <name>", "pool whose runs it takes")
    .option("--label <label>", "what this machine has; steps ask for labels; repeatable", collect)
    .option(
      "--capacity <n>",
      `runs at a time, at most ${RUNNER_CAPACITY_MAX}`,
      wholeNumber(1, RUNNER_CAPACITY_MAX),
    )
    .option("--workspace <dir>", "folder with the flow packages", ".")
    .option("--journal <dir>", "where output and results are kept until the edge has them");
  examples(start, [
    ["codex-flow runner start", "with the url and token of the environment or the profile"],
    [
      "codex-flow runner start --pool gpu --label linux --label cuda --capacity 2",
      "for steps that ask for these labels",
    ],
  ]);
  act(start, startRunner);
  registerWorktrees(runner, act);
}

async function startRunner(invocation: Invocation, options: RunnerOptions): Promise<number> {
  const connection = await invocation.connection("token");
  if (connection.token === undefined) throw missingToken(connection, false);
  const { startRunnerAgent } = await import("../agent.ts");
  const { name, pool, label, capacity, workspace, journal } = options;
  return startRunnerAgent({
    url: connection.url.value,
    token: connection.token.value,
    name,
    pool,
    labels: label ?? [],
    capacity,
    workspace,
    journal,
    json: invocation.output.json,
  });
}
