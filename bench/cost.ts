/**
 * What an event costs on Cloudflare at list price: counted in a local deployment of the product whose objects have a
 * meter in them (bench/metered), and multiplied by the price table (prices.ts).
 *
 *   matched     one event with one step of 3 minutes that prints 200 KB, with a real runner agent, nobody watching; the
 *               deletion after 30 days included. The step really takes its 3 minutes (`--seconds` shortens it).
 *   unmatched   an event that no step waits for
 *   idle        ten runners connected, nothing to do
 *
 * Nothing is shared with other events: a busy deployment pays less. Not counted: what people read, and the tables
 * that the runtime keeps its keys and alarms in, of whose making no price says anything.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { readFileSync } from "node:fs";
import { parse } from "smol-toml";
import { createEdgeClient } from "../client/http.ts";
import { eventKey } from "../contract/ids.ts";
import { PING_INTERVAL_MS, RETENTION_DEFAULT_DAYS } from "../contract/limits.ts";
import { dayOf, ledgerName } from "../durable-objects/day-ledger/naming.ts";
import { ControlLink } from "../runner-agent/link/control-link.ts";
import { projectPath } from "../scripts/project.ts";
import { bill, detail, total, type BillLine } from "./bill.ts";
import { atMost, type BenchOptions, type Figure } from "./figures.ts";
import { load, post } from "./http-load.ts";
import { between, type MeterReading } from "./metered/reading.ts";
import { processorMs, runtimePids } from "./processes.ts";
import { startRunner } from "./runner.ts";
import { edgeServer, type EdgeServer } from "./servers.ts";

const STEP_SECONDS = 180;
const OUTPUT_BYTES = 200_000;
const MATCHED_MAX_DOLLARS = 35;
const UNMATCHED_MAX_DOLLARS = 3;
const IDLE_MAX_DOLLARS = 1;
/** Events of which a mean is taken, for what a single one is too small to show. */
const MANY = 60;
const IDLE_RUNNERS = 10;
const IDLE_MS = 3 * PING_INTERVAL_MS;
const MONTH_MS = 30 * 86_400_000;
/** A deploy or a move of the platform drops every socket once or twice a day. */
const RECONNECTS_A_MONTH = 60;
/** Objects that have been left alone for this long have hibernated. */
const SETTLE_MS = 12_000;
const LOOK_AGAIN_MS = 500;
const QUIET_LOOKS = 4;
const DAY_MS = 86_400_000;

const METERED = {
  main: "bench/metered/worker.ts",
  objects: [{ name: "PROBE", class_name: "RowProbe" }],
};

export async function cost({ say, amount, seconds }: BenchOptions): Promise<Figure[]> {
  const stepSeconds = seconds ?? amount(STEP_SECONDS, 1);
  const many = amount(MANY, 2);
  const edge = await edgeServer(METERED);
  try {
    const meter = new MeteredEdge(edge);
    const logShare = samplingRate();
    const probe = await meter.ask<Record<string, number>>("probe");
    say(`  rows of the key-value store, as a table of its shape has them: ${JSON.stringify(probe)}`);
    const idle = await idleMonth(meter, edge, { logShare, idleMs: amount(IDLE_MS, SETTLE_MS) });
    const runner = await startRunner(edge, 4);
    const matched = await matchedEvent(meter, edge, {
      seconds: stepSeconds,
      many,
      logShare,
      say,
    }).finally(() => runner.stop());
    const unmatched = await unmatchedEvents(meter, edge, { many, logShare });
    print(say, `one event, one step of ${stepSeconds} s, ${OUTPUT_BYTES / 1000} KB of output`, matched);
    print(say, "an event that matches nothing", unmatched);
    print(say, `${IDLE_RUNNERS} runners connected, idle, dollars a month`, idle);
    return [
      atMost("a million matched events", total(matched.lines), "$", MATCHED_MAX_DOLLARS, { aim: 25 }),
      atMost("a million unmatched events", total(unmatched.lines), "$", UNMATCHED_MAX_DOLLARS),
      atMost("idle with ten runners, a month", total(idle.lines), "$", IDLE_MAX_DOLLARS),
    ];
  } finally {
    await edge.close();
  }
}

interface Bill {
  lines: BillLine[];
  detail: string[];
}

/** What a bill is counted over. */
interface BillOptions {
  /** Events of which a mean is taken. */
  many: number;
  /** Share of invocations that are logged, 0 to 1. */
  logShare: number;
}

class MeteredEdge {
  readonly #edge: EdgeServer;

  constructor(edge: EdgeServer) {
    this.#edge = edge;
  }

  async ask<T>(what: string, query: Record<string, string> = {}): Promise<T> {
    const answer = await fetch(`${this.#edge.url}/bench/${what}?${new URLSearchParams(query).toString()}`);
    if (!answer.ok) throw new Error(`/bench/${what} answered ${answer.status}: ${await answer.text()}`);
    return (await answer.json()) as T;
  }

  /** What was counted, once nothing happens any more. */
  async settled(): Promise<MeterReading> {
    let last = await this.ask<MeterReading>("reading");
    for (let quiet = 0; quiet < QUIET_LOOKS;) {
      await sleep(LOOK_AGAIN_MS);
      const now = await this.ask<MeterReading>("reading");
      quiet = Object.keys(between(last, now)).length === 0 ? quiet + 1 : 0;
      last = now;
    }
    return last;
  }
}

async function matchedEvent(
  meter: MeteredEdge,
  edge: EdgeServer,
  { seconds, many, logShare, say }: BillOptions & { seconds: number; say: BenchOptions["say"] },
): Promise<Bill> {
  const token = edge.secrets.tokens.write;
  const client = createEdgeClient({ url: edge.url, token });
  const ledger = { binding: "LEDGERS", name: ledgerName({}, dayOf(Date.now()), "") };
  // The first events of a day make tables; and many of them tell what one adds to the ledger and to the processor.
  await client.dispatch({ id: "cost:first", type: "bench.quick" }, { wait: true });
  await meter.settled();
  const ledgerBefore = await meter.ask<number>("size", ledger);
  const busy = await processorOf(() => load(many, 4, () => post(edge.url, token, "bench.quick", {})));
  await meter.settled();
  const ledgerBytes = ((await meter.ask<number>("size", ledger)) - ledgerBefore) / many;
  // The pool's sweep of those is not this event's.
  await meter.ask("alarm", { binding: "POOLS", name: "default" });
  await sleep(SETTLE_MS);

  const before = await meter.settled();
  const id = "cost:matched";
  const event = { binding: "EVENTS", name: await eventKey(id) };
  const [runId = ""] = (
    await client.dispatch({ id, type: "bench.log", payload: { seconds, bytes: OUTPUT_BYTES } })
  ).runIds;
  await sleep(seconds * 1000);
  await meter.settled();
  const storedBytes = await meter.ask<number>("size", event);
  await meter.ask("alarm", { binding: "POOLS", name: "default" });
  const left = await meter.ask<number | null>("alarm", {
    ...event,
    aged: String(RETENTION_DEFAULT_DAYS * DAY_MS),
  });
  if (left !== null) throw new Error(`the event was not deleted: its next alarm is ${left}`);
  const reading = between(before, await meter.settled());
  say(
    `  run ${runId}: its object has ${storedBytes} bytes, its rows in the ledger ${Math.round(ledgerBytes)}`,
  );
  const lines = bill({
    reading,
    events: 1,
    storedBytes: storedBytes + ledgerBytes,
    processorMs: busy / many,
    logShare,
  });
  return { lines, detail: detail(reading, 1) };
}

async function unmatchedEvents(
  meter: MeteredEdge,
  edge: EdgeServer,
  { many, logShare }: BillOptions,
): Promise<Bill> {
  const token = edge.secrets.tokens.write;
  const ledger = { binding: "LEDGERS", name: ledgerName({}, dayOf(Date.now()), "") };
  const send = (): Promise<void> =>
    post(edge.url, token, "bench.nobody", { repository: "openai/codex", tag: "rust-v0.169.0" });
  await send();
  const before = await meter.settled();
  const sizeBefore = await meter.ask<number>("size", ledger);
  const busy = await processorOf(() => load(many, 1, send));
  const reading = between(before, await meter.settled());
  const storedBytes = ((await meter.ask<number>("size", ledger)) - sizeBefore) / many;
  const lines = bill({ reading, events: many, storedBytes, processorMs: busy / many, logShare });
  return { lines, detail: detail(reading, many) };
}

/** A month of ten connected runners: what some heartbeats cost, and what connecting again does now and then. */
async function idleMonth(
  meter: MeteredEdge,
  edge: EdgeServer,
  { logShare, idleMs }: { logShare: number; idleMs: number },
): Promise<Bill> {
  const start = await meter.settled();
  const links = Array.from({ length: IDLE_RUNNERS }, (_unused, n) => idleRunner(edge, n));
  const connected = await meter.settled();
  await sleep(idleMs);
  const idled = await meter.settled();
  for (const link of links) link.leave();
  await meter.settled();
  const connecting = between(start, connected);
  const reading: MeterReading = {};
  for (const [name, amount] of Object.entries(connecting)) reading[name] = amount * RECONNECTS_A_MONTH;
  for (const [name, amount] of Object.entries(between(connected, idled)))
    reading[name] = (reading[name] ?? 0) + (amount * MONTH_MS) / idleMs;
  const lines = bill({ reading, events: 1, storedBytes: 0, processorMs: 0, logShare });
  return {
    lines: lines.map((line) => ({ ...line, dollars: line.dollars / 1e6 })),
    detail: detail(between(connected, idled), 1).map((line) => `in ${idleMs / 1000} idle s: ${line}`),
  };
}

function idleRunner(edge: EdgeServer, n: number): ControlLink {
  const nothing = (): void => undefined;
  return new ControlLink({
    url: edge.url.replace(/^http/, "ws"),
    token: edge.secrets.tokens.runner,
    pool: "idle",
    identity: {
      runnerId: `idle_${n}`,
      key: crypto.randomUUID(),
      process: crypto.randomUUID(),
      name: `idle-${n}`,
      version: "1",
      labels: [],
      capacity: 1,
    },
    flows: () => [],
    active: () => [],
    draining: () => false,
    drainAsked: () => undefined,
    trouble: () => undefined,
    offered: nothing,
    onDeployedFiles: nothing,
    welcomed: nothing,
    lost: nothing,
    rejected: (message) => {
      throw new Error(message);
    },
  });
}

/** Milliseconds of processor that the runtime spends while something happens. */
async function processorOf(work: () => Promise<unknown>): Promise<number> {
  const pids = runtimePids();
  const before = processorMs(pids);
  await work();
  return processorMs(pids) - before;
}

function samplingRate(): number {
  const config = parse(readFileSync(projectPath("wrangler.toml"), "utf8")) as {
    observability?: { head_sampling_rate?: number };
  };
  return config.observability?.head_sampling_rate ?? 0;
}

function print(say: (text: string) => void, title: string, { lines, detail: counted }: Bill): void {
  say(`  ${title}`);
  for (const { what, units, dollars } of lines)
    say(`    ${what.padEnd(32)} ${units.toFixed(2).padStart(10)}   $ ${dollars.toFixed(2).padStart(6)}`);
  say(`    ${"in all".padEnd(32)} ${"".padStart(10)}   $ ${total(lines).toFixed(2).padStart(6)}`);
  for (const line of counted) say(`      ${line}`);
}
