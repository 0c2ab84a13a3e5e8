/** From what was counted to what it costs, line by line. */
import { sum, type MeterReading } from "./metered/reading.ts";
import { DOLLARS, MESSAGES_PER_REQUEST, OBJECT_GIGABYTES } from "./prices.ts";

export interface BillLine {
  what: string;
  /** Units of one event, in the unit that `what` names. */
  units: number;
  /** Dollars of a million events. */
  dollars: number;
}

export interface Counted {
  reading: MeterReading;
  /** Events that the reading is of. */
  events: number;
  /** Stored for 30 days, bytes an event. */
  storedBytes: number;
  /** Processor time of the whole runtime, Worker and objects: an upper bound of what the Worker is billed. */
  processorMs: number;
  /** Share of invocations that are logged (wrangler.toml). */
  logShare: number;
}

const MILLION = 1e6;

export function bill({ reading, events, storedBytes, processorMs, logShare }: Counted): BillLine[] {
  const each = (prefix: string): number => sum(reading, prefix) / events;
  const line = (what: string, units: number, price: number): BillLine => ({
    what,
    units,
    dollars: units * price * MILLION,
  });
  const messages = each("message");
  const invocations = each("worker") + each("request") + messages;
  return [
    line("Worker requests", each("worker"), DOLLARS.workerRequest),
    line("processor time, ms (at most)", processorMs, DOLLARS.workerMillisecond),
    line("object requests", each("request"), DOLLARS.objectRequest),
    line("socket messages to objects", messages, DOLLARS.objectRequest / MESSAGES_PER_REQUEST),
    line("objects awake, s", each("awake") / 1000, DOLLARS.gigabyteSecond * OBJECT_GIGABYTES),
    line("rows written", each("written"), DOLLARS.rowWritten),
    line("rows read", each("read"), DOLLARS.rowRead),
    line("queue operations", each("queue"), DOLLARS.queueOperation),
    line("stored for 30 days, KB", storedBytes / 1000, DOLLARS.gigabyteMonth / MILLION),
    line(`logged invocations (${100 * logShare} %)`, invocations * logShare, DOLLARS.logEvent),
  ];
}

export function total(lines: readonly BillLine[]): number {
  return lines.reduce((dollars, line) => dollars + line.dollars, 0);
}

/** Where rows, requests and awake time come from, largest first. */
export function detail(reading: MeterReading, events: number): string[] {
  return Object.entries(reading)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, amount]) => `${name}: ${Number((amount / events).toFixed(2))}`);
}
