/**
 * `npm run chaos`: events flow while edge, agents, steps and their network are broken at random; then every event is
 * held to account (audit.ts).
 *
 *   npm run chaos -- --rounds 50 --seed 7 [--json <file>]
 *
 * The seed decides what is sent and broken, and when; a failure prints it. Exits with 0 when nothing was lost, doubled
 * or stuck, with 1 otherwise, with 2 for wrong arguments.
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import Table from "cli-table3";
import pc from "picocolors";
import { stopRequested } from "../../runner-agent/dev/stop-requested.ts";
import type { Finding } from "./audit.ts";
import { describeFault, FAULT_KINDS, planRounds, type FaultKind, type Round } from "./plan.ts";
import { storm } from "./storm.ts";

const ROUNDS_DEFAULT = 50;
const SEEDS = 1_000_000;
/** Findings that are printed; the file has all. */
const FINDINGS_SHOWN = 20;
const EXIT = { ok: 0, failed: 1, usage: 2 } as const;

process.exit(await main());

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: { rounds: { type: "string" }, seed: { type: "string" }, json: { type: "string" } },
  });
  const rounds = Number(values.rounds ?? ROUNDS_DEFAULT);
  const seed = Number(values.seed ?? Date.now() % SEEDS);
  if (!Number.isInteger(rounds) || rounds < 1 || !Number.isInteger(seed) || seed < 0) {
    console.error("error: --rounds takes a whole number from 1, --seed one from 0");
    return EXIT.usage;
  }
  say(`${pc.bold("chaos")}: ${rounds} rounds, seed ${seed}`);
  const plan = planRounds(seed, rounds);
  const folder = await mkdtemp(join(tmpdir(), "codex-flow-chaos-"));
  const outcome = await storm(plan, folder, stopRequested(), {
    roundBegins: (round, n) => {
      if (process.stdout.isTTY) say(`${pc.dim(`${n}/${rounds}`)} ${describeRound(round)}`);
    },
    settles: () => {
      if (process.stdout.isTTY) say(pc.dim("waiting until everything is over"));
    },
  });
  if (outcome === undefined) {
    await rm(folder, { recursive: true, force: true });
    return EXIT.failed;
  }
  const { findings, slowest, ...counts } = outcome;
  const summary = { rounds, ...counts, ...countFindings(findings), faults: countFaults(plan) };
  say(table(summary));
  if (values.json !== undefined)
    await writeFile(values.json, `${JSON.stringify({ seed, ...summary, findings, slowest }, null, 2)}\n`);
  if (findings.length === 0) {
    await rm(folder, { recursive: true, force: true });
    return EXIT.ok;
  }
  sayFailure(seed, plan, findings, folder);
  return EXIT.failed;
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

function describeRound({ events, faults }: Round): string {
  return `${events.length} events; ${faults.map(describeFault).join(", ")}`;
}

function countFindings(findings: Finding[]): Record<Finding["fault"], number> {
  const of = (fault: Finding["fault"]): number => findings.filter((one) => one.fault === fault).length;
  return { lost: of("lost"), doubled: of("doubled"), stuck: of("stuck") };
}

function countFaults(plan: Round[]): Record<FaultKind, number> {
  const all = plan.flatMap(({ faults }) => faults.map(({ kind }) => kind));
  const counts = FAULT_KINDS.map((kind) => [kind, all.filter((one) => one === kind).length] as const);
  return Object.fromEntries(counts) as Record<FaultKind, number>;
}

function table({
  faults,
  ...counts
}: Record<string, number | object> & { faults: Record<FaultKind, number> }): string {
  const byKind = Object.entries(faults).map(([kind, count]) => `${kind} ${count}`);
  const drawn = new Table({
    head: [...Object.keys(counts), "faults by kind"],
    style: { head: [], border: [] },
  });
  drawn.push([...Object.values(counts).map(String), byKind.join("\n")]);
  return drawn.toString();
}

function sayFailure(seed: number, plan: Round[], findings: Finding[], folder: string): void {
  for (const { fault, subject, what } of findings.slice(0, FINDINGS_SHOWN))
    say(`${pc.red(fault.padEnd(7))} ${subject}: ${what}`);
  if (findings.length > FINDINGS_SHOWN) say(`and ${findings.length - FINDINGS_SHOWN} more: see --json`);
  say(`\nwhat was done, by round:`);
  for (const [n, round] of plan.entries()) say(`${String(n + 1).padStart(4)} ${describeRound(round)}`);
  say(
    `\nto do it again: npm run chaos -- --rounds ${plan.length} --seed ${seed}; the state is kept in ${folder}`,
  );
}
