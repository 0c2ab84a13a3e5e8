/**
 * `npm run bench`: what the product costs in time, against bars. `-- --only <name>` runs one, `-- --json <file>` writes
 * the figures. Ratios and medians are to be trusted, absolute times say something about the machine.
 */
import "./quiet.ts";
import { writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import pc from "picocolors";
import type { Figure } from "./figures.ts";
import { ingest } from "./ingest.ts";
import { latency } from "./latency.ts";

const BENCHES: Record<string, () => Promise<Figure[]>> = { ingest, latency };

const say = (text: string): void => {
  process.stdout.write(`${text}\n`);
};

const { values } = parseArgs({ options: { only: { type: "string" }, json: { type: "string" } } });
const names = values.only === undefined ? Object.keys(BENCHES) : [values.only];
const results: Record<string, Figure[]> = {};
for (const name of names) {
  const bench = BENCHES[name];
  if (bench === undefined) {
    console.error(`error: there is no bench ${name}; there are ${Object.keys(BENCHES).join(", ")}`);
    process.exit(2);
  }
  say(pc.bold(name));
  const figures = await bench();
  results[name] = figures;
  for (const { name: what, value, unit, bar } of figures) {
    const shown = value >= 100 ? value.toFixed(0) : value.toFixed(value >= 10 ? 1 : 2);
    const verdict =
      bar === undefined ? "" : bar.met ? pc.green(`${bar.text}: met`) : pc.red(`${bar.text}: missed`);
    say(`  ${what.padEnd(34)} ${shown.padStart(8)} ${unit.padEnd(3)} ${verdict}`);
  }
}
if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify(results, null, 2)}\n`);
// The harness keeps handles of its own.
process.exit();
