/**
 * `npm run demo`: a real event travels through the edge to a runner agent and comes back as a result. Starts everything
 * on this machine, shows it with the commands that a user would type, and ends everything it started. With `--codex` the
 * step is Codex itself; `--model real` lets it ask the model of your own login.
 */
import { parseArgs } from "node:util";

const FAILED = 1;
const BAD_USAGE = 2;
const USAGE = "npm run demo -- [--codex [--model fake|real]]";

process.exitCode = await demo();

async function demo(): Promise<number> {
  const wanted = flags();
  if (wanted === undefined) return BAD_USAGE;
  if (wanted.codex) {
    const { demoCodex } = await import("./demo-codex.ts");
    return (await demoCodex(wanted.model)) ? 0 : FAILED;
  }
  const { demoRelease } = await import("./demo-release.ts");
  return (await demoRelease()) ? 0 : FAILED;
}

function flags(): { codex: boolean; model: "fake" | "real" } | undefined {
  try {
    const { values } = parseArgs({
      options: { codex: { type: "boolean", default: false }, model: { type: "string" } },
    });
    const { codex, model = "fake" } = values;
    if (model !== "fake" && model !== "real") throw new Error(`--model is fake or real, not ${model}`);
    if (values.model !== undefined && !codex) throw new Error("--model goes with --codex");
    return { codex, model };
  } catch (error) {
    console.error(`error: ${error instanceof Error ? error.message : String(error)}\nusage: ${USAGE}`);
    return undefined;
  }
}
