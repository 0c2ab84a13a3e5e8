/**
 * `npm run bench` measures what the product costs in time and money, and compares it with bars. Trust the ratios and the
 * medians; absolute times depend on the machine.
 *
 *   --only <names>     benches, separated by commas; `chat` and `dev-proxy` run only when they are named
 *   --part <name>      of `chat`: this kind of place alone; may be given several times
 *   --rounds <n>       rounds of those that take medians (3)
 *   --seconds <n>      length of the step of `cost` (180), of the burst of `chat` (30)
 *   --smallest         runs each bench with the least work that still exercises all of it; its figures mean nothing, so
 *                      no bar is judged (the test suite uses this to prove that every bench still runs)
 *   --json <file>      writes the figures
 *
 * The exit code is 1 when a bar is missed or a bench fails, and 2 when the arguments are wrong.
 */
import "./quiet.ts";
import { writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import Table from "cli-table3";
import pc from "picocolors";
import { agent } from "./agent.ts";
import { bundle } from "./bundle.ts";
import { burst } from "./burst.ts";
import { chat } from "./chat.ts";
import { codex } from "./codex.ts";
import { cost } from "./cost.ts";
import { devProxy } from "./dev-proxy.ts";
import { discord } from "./discord.ts";
import type { BenchOptions, Figure } from "./figures.ts";
import { ingest } from "./ingest.ts";
import { latency } from "./latency.ts";
import { list } from "./list.ts";
import { step } from "./step.ts";

const BENCHES: Record<string, (options: BenchOptions) => Promise<Figure[]>> = {
  ingest,
  latency,
  burst,
  list,
  step,
  agent,
  codex,
  discord,
  cost,
  bundle,
  chat,
  "dev-proxy": devProxy,
};
/** Only when named. */
const EXTRA: readonly string[] = ["chat", "dev-proxy"];
const ROUNDS = 3;

const say = (text: string): void => {
  process.stdout.write(`${text}\n`);
};

const { values } = parseArgs({
  options: {
    only: { type: "string" },
    rounds: { type: "string" },
    seconds: { type: "string" },
    part: { type: "string", multiple: true },
    json: { type: "string" },
    smallest: { type: "boolean", default: false },
  },
});
const { smallest } = values;
const options: BenchOptions = {
  say,
  rounds: Number(values.rounds ?? (smallest ? 1 : ROUNDS)),
  seconds: values.seconds === undefined ? undefined : Number(values.seconds),
  parts: values.part,
  amount: (full, least) => (smallest ? least : full),
};
const names = values.only?.split(",") ?? Object.keys(BENCHES).filter((name) => !EXTRA.includes(name));
const results: Record<string, Figure[]> = {};
for (const name of names) {
  const bench = BENCHES[name];
  if (bench === undefined) {
    console.error(`error: there is no bench ${name}; there are ${Object.keys(BENCHES).join(", ")}`);
    process.exit(2);
  }
  say(pc.bold(name));
  const figures = await bench(options);
  results[name] = smallest ? figures.map(({ bar: _bar, ...figure }) => figure) : figures;
  say(tableOf(results[name]));
}
if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify(results, null, 2)}\n`);
const missed = Object.values(results).flatMap((figures) => figures.filter(({ bar }) => bar?.met === false));
// The harness keeps handles of its own.
process.exit(missed.length === 0 ? 0 : 1);

function tableOf(figures: readonly Figure[]): string {
  const table = new Table({
    head: ["measure", "figure", "ancestor", "bar", "aim", ""],
    style: { head: [], border: [] },
  });
  for (const { name, value, unit, ancestor, bar } of figures)
    table.push([
      name,
      `${shown(value)} ${unit}`,
      ancestor === undefined ? "" : shown(ancestor),
      bar?.text ?? "",
      bar?.aim ?? "",
      bar === undefined ? "" : bar.met ? pc.green("met") : pc.red("missed"),
    ]);
  return table.toString();
}

function shown(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toFixed(value >= 10 ? 1 : 2);
}
