/** `codex-flow runners`: who is connected and why each waiting run waits; pause, resume and drain one of them. */
import type { Command } from "commander";
import { RUNNER_ACTIONS, type RunnerAction } from "../../contract/http-bodies.ts";
import { EXIT } from "./exit-codes.ts";
import type { Act } from "./invocation.ts";
import { examples } from "./option-values.ts";

const DESCRIPTIONS: Record<RunnerAction, string> = {
  pause: "Stop offering runs to a runner until it is resumed; current runs continue",
  resume: "Offer runs to a paused runner again",
  drain: "Let a runner finish its current runs and then exit",
};

export function registerRunners(program: Command, act: Act): void {
  const runners = program
    .command("runners")
    .description("Show runners and why each waiting run waits; pause, resume, drain");
  const list = runners
    .command("list", { isDefault: true })
    .description("Show runners and why each waiting run waits (the same as `codex-flow runners`)")
    .option("--pool <name>", "only this pool");
  for (const command of [runners, list])
    examples(command, [
      ["codex-flow runners", "all pools"],
      ["codex-flow runners --pool gpu --json", "one pool, for a script"],
    ]);
  act<{ pool?: string }>(list, async (invocation, options) => {
    const { client } = await invocation.connect();
    const answer = await client.listRunners({ pool: options.pool });
    const { renderRunners } = await import("./render/runners.ts");
    await invocation.output.show(answer, (style) => renderRunners(style, answer));
    return EXIT.ok;
  });
  for (const action of RUNNER_ACTIONS) registerAction(runners, act, action);
}

function registerAction(runners: Command, act: Act, action: RunnerAction): void {
  const command = runners
    .command(action)
    .description(DESCRIPTIONS[action])
    .argument("<name>", "name or id of the runner")
    .option("--pool <name>", "look for it only in this pool");
  examples(command, [[`codex-flow runners ${action} box-1`, "needs an admin token"]]);
  act<{ pool?: string }>(command, async (invocation, options, name: string) => {
    const { client } = await invocation.connect();
    const runner = await client.steerRunner(name, action, { pool: options.pool });
    const { renderSteered } = await import("./render/runners.ts");
    await invocation.output.show({ runner }, (style) => renderSteered(style, runner, action));
    return EXIT.ok;
  });
}
