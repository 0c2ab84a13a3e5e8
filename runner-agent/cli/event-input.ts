/** Makes the event that `dispatch` sends: from a file, from standard input, from flags, or from both. */
import { createHash } from "node:crypto";
import { text as readAll } from "node:stream/consumers";
import { readTextFile } from "../../catalog/text-file.ts";
import { eventIdentity, normalizeEvent, type FlowEventInput } from "../../contract/flow-event.ts";
import { changedNumbers } from "../../contract/json-numbers.ts";
import { UsageError } from "./problem.ts";

export interface EventFlags {
  type?: string;
  id?: string;
  source?: string;
  /** JSON. */
  payload?: string;
}

/** Standard input as an operand. */
const STDIN = "-";
const GENERATED_ID_CHARS = 32;
const EXAMPLE = `codex-flow dispatch --type demo.hello --payload '{"name":"Ada"}'`;

/** The event; `file` is a path or "-". Throws UsageError. */
export async function readEvent(file: string | undefined, flags: EventFlags): Promise<FlowEventInput> {
  if (file === undefined && flags.type === undefined)
    throw new UsageError("no event is given", `name a file, - for standard input, or flags: ${EXAMPLE}`);
  return composeEvent(file === undefined ? {} : parseEvent(await readText(file), file), flags);
}

/**
 * Flags over what the file says. Without an id, the id is made from type, source and payload: the same content is
 * the same event, so that sending it twice starts nothing twice.
 */
export function composeEvent(base: Record<string, unknown>, flags: EventFlags): FlowEventInput {
  const event: Record<string, unknown> = {
    ...base,
    ...(flags.id === undefined ? {} : { id: flags.id }),
    ...(flags.type === undefined ? {} : { type: flags.type }),
    ...(flags.source === undefined ? {} : { source: flags.source }),
    ...(flags.payload === undefined ? {} : { payload: parseJson(flags.payload, "--payload") }),
  };
  if (typeof event["type"] !== "string")
    throw new UsageError("the event has no type", `give it a "type" or pass --type: ${EXAMPLE}`);
  const input = { ...event, id: event["id"] ?? "", type: event["type"] } as FlowEventInput;
  return event["id"] === undefined ? { ...input, id: contentId(input) } : input;
}

function contentId(input: FlowEventInput): string {
  const identity = eventIdentity(normalizeEvent(input, ""));
  return `cli-${createHash("sha256").update(identity).digest("hex").slice(0, GENERATED_ID_CHARS)}`;
}

function parseEvent(text: string, file: string): Record<string, unknown> {
  const where = file === STDIN ? "standard input" : file;
  const value = parseJson(text, where);
  if (value === null || typeof value !== "object" || Array.isArray(value))
    throw new UsageError(
      `${where} holds no JSON object`,
      `an event looks like {"type":"demo.hello","payload":{}}`,
    );
  return value as Record<string, unknown>;
}

function parseJson(text: string, where: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new UsageError(
      `${where} is not JSON: ${messageOf(error)}`,
      "correct it; texts stand in double quotes",
    );
  }
  const changed = changedNumbers(text)[0];
  if (changed !== undefined)
    throw new UsageError(
      `${where}: ${changed.path} ${changed.message}`,
      'write the number as a string, "9007199254740993"',
    );
  return value;
}

async function readText(file: string): Promise<string> {
  try {
    return file === STDIN ? await readAll(process.stdin) : await readTextFile(file);
  } catch (error) {
    throw new UsageError(
      `cannot read ${file}: ${messageOf(error)}`,
      "name a file with one event as JSON, or - for standard input",
    );
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
