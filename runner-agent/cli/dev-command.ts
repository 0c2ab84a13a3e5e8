/** `codex-flow dev`: reads the flags and hands over to the launcher, which is imported only then. */
import type { Command } from "commander";
import type { Act } from "./invocation.ts";
import { examples, wholeNumber } from "./option-values.ts";

/** Where the development edge listens unless told otherwise: wrangler's own default. */
const DEV_PORT = 8787;
const PORT_MAX = 65_535;

interface DevOptions {
  port: number;
  state?: string;
  workspace?: string;
  runner: boolean;
}

export function registerDev(program: Command, act: Act): void {
  const dev = program
    .command("dev")
    .description(
      "Run an edge and a runner on this machine, with generated secrets; needs no Cloudflare account",
    )
    .option("--port <port>", "port on loopback", wholeNumber(0, PORT_MAX), DEV_PORT)
    .option("--state <dir>", "folder for the edge's state (default: .codex-flow/dev of the workspace)")
    .option("--workspace <dir>", "folder with the flow packages (default: the current one)")
    .option("--no-runner", "only the edge");
  examples(dev, [
    ["codex-flow dev", "edge and runner on port 8787"],
    ["codex-flow dev --port 9000 --workspace ../my-flows", "another port, other flows"],
    ["codex-flow dev --no-runner", "only the edge, to start a runner by hand"],
  ]);
  act<DevOptions>(dev, async (invocation, options) => {
    const { runDev } = await import("../dev/dev.ts");
    return runDev({ ...options, json: invocation.output.json });
  });
}
