/** `codex-flow runners`: who is connected, and why each waiting run waits. */
import type { Command } from "commander";
import { EXIT } from "./exit-codes.ts";
import type { Act } from "./invocation.ts";
import { examples } from "./option-values.ts";

export function registerRunners(program: Command, act: Act): void {
  const runners = program
    .command("runners")
    .description("Runners that are connected, and why each waiting run waits")
    .option("--pool <name>", "only this pool");
  examples(runners, [
    ["codex-flow runners", "all pools"],
    ["codex-flow runners --pool gpu --json", "one pool, for a script"],
  ]);
  act<{ pool?: string }>(runners, async (invocation, options) => {
    const { client } = await invocation.connect();
    const answer = await client.listRunners({ pool: options.pool });
    const { renderRunners } = await import("./render/runners.ts");
    await invocation.output.show(answer, (style) => renderRunners(style, answer));
    return EXIT.ok;
  });
}
