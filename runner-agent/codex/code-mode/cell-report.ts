/**
 * What Codex says of a script that it runs, read from the conversation that it sends to its model provider, and what a
 * provider without a model has to answer to it. Pure.
 *
 *   nothing yet ─▶ run ─▶ "Script running with cell ID 1" ─▶ wait ─▶ … ─▶ "Script completed" | "Script failed" ─▶ end
 *
 * The conversation comes whole with each request, so nothing has to be remembered from one to the next.
 */

/** An item of a request to the Responses API, as far as it is looked at. */
export type InputItem = Record<string, unknown> & { type: string };

/** What came out of a script since the last time. */
export interface CellReport {
  callId: string;
  /** Absent in what the script said by `notify`, and where Codex did not run it. */
  state: { kind: "running"; cellId: string } | { kind: "completed" } | { kind: "failed" } | undefined;
  /** What the script printed, one text for each `text(…)`. */
  texts: string[];
  /** Why it failed. */
  error?: string;
}

export type Move =
  | { kind: "run" }
  /** `waits`: how often it was waited for before. */
  | { kind: "wait"; cellId: string; waits: number }
  | { kind: "end"; failure: string | undefined };

const OUTPUTS = ["custom_tool_call_output", "function_call_output"];
const CALLS = ["custom_tool_call", "function_call"];
const HEADER = /^Script (?:(completed|failed)|running with cell ID (\S+))\n[\s\S]*?Output:\n/;
const ERROR = "Script error:\n";

/** All of them, in their order; later requests have the same ones first. */
export function readReports(input: readonly InputItem[]): CellReport[] {
  return input.filter(({ type }) => OUTPUTS.includes(type)).map(readReport);
}

export function nextMove(input: readonly InputItem[]): Move {
  const calls = input.filter(({ type }) => CALLS.includes(type));
  const last = calls.at(-1);
  if (last === undefined) return { kind: "run" };
  const answers = readReports(input).filter(({ callId }) => callId === last["call_id"]);
  const report = answers.findLast(({ state }) => state !== undefined);
  if (report?.state === undefined)
    return {
      kind: "end",
      failure: `Codex did not run it: ${answers.flatMap(({ texts }) => texts).join("\n") || "it does not say why"}`,
    };
  switch (report.state.kind) {
    case "running":
      return { kind: "wait", cellId: report.state.cellId, waits: calls.length - 1 };
    case "completed":
      return { kind: "end", failure: undefined };
    case "failed":
      return { kind: "end", failure: report.error ?? "Codex does not say why" };
  }
}

function readReport(item: InputItem): CellReport {
  const callId = String(item["call_id"]);
  const [first = "", ...more] = textsOf(item["output"]);
  const header = HEADER.exec(first);
  if (header === null) return { callId, state: undefined, texts: [first, ...more] };
  const rest = first.slice(header[0].length);
  const texts = rest === "" ? more : [rest, ...more];
  const [, over, cellId] = header;
  if (cellId !== undefined) return { callId, state: { kind: "running", cellId }, texts };
  if (over === "completed") return { callId, state: { kind: "completed" }, texts };
  const last = texts.at(-1);
  return last?.startsWith(ERROR) === true
    ? { callId, state: { kind: "failed" }, texts: texts.slice(0, -1), error: last.slice(ERROR.length) }
    : { callId, state: { kind: "failed" }, texts };
}

/** One text alone comes as itself, several as parts. */
function textsOf(output: unknown): string[] {
  if (typeof output === "string") return [output];
  if (!Array.isArray(output)) return [];
  return (output as Array<{ text?: unknown }>).flatMap(({ text }) =>
    typeof text === "string" ? [text] : [],
  );
}
