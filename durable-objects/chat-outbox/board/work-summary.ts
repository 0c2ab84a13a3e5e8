/**
 * What a run has come to, in figures: tokens, cost, turns, files, commands, what of it was delivered. From the artifacts of
 * its result, whichever kind of step left them; artifacts are any JSON, so whatever does not fit is not there. Pure.
 */
import type { RunView } from "../../../contract/run-view.ts";
import { changesOf, filesChanged } from "./changes.ts";

interface Field {
  name: string;
  value: string;
}

const SUMMARY_MAX_CHARS = 250;

/** @param said what a session said of itself, for one that was ended before it had a result */
export function workFields(run: Pick<RunView, "result">, said: string | undefined): Field[] {
  const { result } = run;
  if (result === undefined)
    return said === undefined ? [] : [{ name: "Summary", value: said.slice(0, SUMMARY_MAX_CHARS) }];
  const { tokens, costUsd, turns, commands, failedCommands, tools, delivery } = result.artifacts ?? {};
  return [
    ...field("Tokens", tokensOf(tokens)),
    ...field("Cost", typeof costUsd === "number" && costUsd > 0 ? costOf(costUsd) : undefined),
    ...field("Turns", typeof turns === "number" ? String(turns) : undefined),
    ...field("Files", changesOf(run)?.summary[0]),
    ...field("Commands", commandsOf(commands, failedCommands)),
    ...field("Tools", toolsOf(tools)),
    ...field("Delivery", deliveryOf(delivery)),
  ];
}

/** The same for one line: `3 files`, `2 commands (1 failed)`, `$0.01`. */
export function workFacts({ result }: Pick<RunView, "result">): string[] {
  const { commands, failedCommands, costUsd } = result?.artifacts ?? {};
  const files = result === undefined ? undefined : filesChanged(result);
  const failed =
    typeof failedCommands === "number" && failedCommands > 0 ? ` (${failedCommands} failed)` : "";
  return [
    ...(files === undefined ? [] : [counted(files, "file")]),
    ...(typeof commands === "number" && commands > 0 ? [`${counted(commands, "command")}${failed}`] : []),
    ...(typeof costUsd === "number" && costUsd > 0 ? [costOf(costUsd)] : []),
  ];
}

function counted(count: number, name: string): string {
  return `${count} ${name}${count === 1 ? "" : "s"}`;
}

/** Cents where there are some. */
function costOf(usd: number): string {
  return usd < 0.01 ? "under $0.01" : `$${usd.toFixed(2)}`;
}

function field(name: string, value: string | undefined): Field[] {
  return value === undefined || value === "" ? [] : [{ name, value }];
}

function tokensOf(tokens: unknown): string | undefined {
  if (!isRecord(tokens)) return undefined;
  const { input, cached, output } = tokens;
  if (typeof input !== "number" || typeof output !== "number" || input + output === 0) return undefined;
  const read = typeof cached === "number" && cached > 0 ? ` (${amount(cached)} cached)` : "";
  return `${amount(input)} in${read}, ${amount(output)} out`;
}

function commandsOf(all: unknown, failed: unknown): string | undefined {
  if (typeof all !== "number" || all === 0) return undefined;
  return `${all}${typeof failed === "number" && failed > 0 ? `, ${failed} failed` : ""}`;
}

function toolsOf(tools: unknown): string | undefined {
  if (!isRecord(tools)) return undefined;
  const counted = Object.entries(tools).filter(([, count]) => typeof count === "number");
  return counted.map(([tool, count]) => `${tool} ${String(count)}`).join(", ");
}

/** Trouble on the way from the machine to the edge, as the relay counts it; nothing when there was none. */
function deliveryOf(delivery: unknown): string | undefined {
  if (!isRecord(delivery)) return undefined;
  const { resent, outages } = delivery;
  if (typeof resent !== "number" || typeof outages !== "number") return undefined;
  return [
    ...(outages === 0 ? [] : [`${outages} ${outages === 1 ? "outage" : "outages"}`]),
    ...(resent === 0 ? [] : [`${amount(resent)} sent again`]),
  ].join(", ");
}

function amount(value: number): string {
  return value.toLocaleString("en");
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
