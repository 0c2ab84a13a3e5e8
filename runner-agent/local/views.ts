/** Events and runs of local mode as the HTTP interface would show them, and its lists: pure functions of what is kept. */
import { BadRequestError } from "../../contract/errors.ts";
import { RESULT_STATUSES } from "../../contract/flow-result.ts";
import { LIST_DEFAULT_ITEMS, LIST_MAX_ITEMS } from "../../contract/limits.ts";
import { outputChunkView } from "../../contract/output-view.ts";
import { PROCESS_STATUSES, type RunRecord } from "../../contract/run-record.ts";
import { iso, runView, type EventView, type OutputChunkView, type RunView } from "../../contract/run-view.ts";
import type { LocalEvent, LocalOutput } from "./store.ts";

export const LOCAL_BACKEND = "local";

export function localRunView(run: RunRecord, output?: LocalOutput[]): RunView {
  return {
    ...runView(run),
    backend: LOCAL_BACKEND,
    ...(output === undefined ? {} : { output: output.map(outputView) }),
  };
}

export function outputView({ attempt, kind, text, at }: LocalOutput, index: number): OutputChunkView {
  return outputChunkView(attempt, { seq: index + 1, stream: kind, text, at });
}

export function localEventView({ event, createdAt, matched, lineage }: LocalEvent): EventView {
  const { id, type, source, occurredAt, receivedAt, payload } = event;
  return {
    id,
    type,
    ...(source === undefined ? {} : { source }),
    ...(occurredAt === undefined ? {} : { occurredAt }),
    receivedAt,
    payload,
    raw: event,
    createdAt: iso(createdAt),
    matched,
    ...(lineage.depth === 0 ? {} : lineage),
  };
}

/** Throws BadRequestError for a status that nothing can have. */
export function checkStatus(status: string | undefined): void {
  const known: readonly string[] = [...new Set([...PROCESS_STATUSES, ...RESULT_STATUSES])];
  if (status !== undefined && !known.includes(status))
    throw new BadRequestError("invalid_status", `status must be one of ${known.join(", ")}`);
}

interface Listed {
  id: string;
  /** Epoch ms. */
  createdAt: number;
}

/** One page, newest first. The cursor is the place of its last item, so that what comes meanwhile shifts nothing. */
export function pageOf<T extends Listed>(
  all: T[],
  { limit, cursor }: { limit?: number | undefined; cursor?: string | undefined },
): { items: T[]; nextCursor?: string } {
  const count = listLimit(limit);
  const after = cursor === undefined || cursor === "" ? undefined : readCursor(cursor);
  const sorted = [...all]
    .sort(newestFirst)
    .filter((item) => after === undefined || newestFirst(after, item) < 0);
  const items = sorted.slice(0, count);
  const last = items.at(-1);
  return sorted.length > count && last !== undefined ? { items, nextCursor: writeCursor(last) } : { items };
}

function newestFirst(a: Listed, b: Listed): number {
  return b.createdAt - a.createdAt || (a.id < b.id ? 1 : a.id > b.id ? -1 : 0);
}

/** As the ancestor: 50 when absent, 0 or no number; truncated and clamped to 1–500. */
function listLimit(limit = 0): number {
  const value = Math.trunc(limit);
  return Number.isNaN(value) || value === 0
    ? LIST_DEFAULT_ITEMS
    : Math.min(Math.max(value, 1), LIST_MAX_ITEMS);
}

function writeCursor({ createdAt, id }: Listed): string {
  return Buffer.from(JSON.stringify([createdAt, id])).toString("base64url");
}

function readCursor(cursor: string): Listed {
  try {
    const [createdAt, id] = JSON.parse(Buffer.from(cursor, "base64url").toString()) as [unknown, unknown];
    if (typeof createdAt === "number" && typeof id === "string") return { createdAt, id };
  } catch {
    // Said below.
  }
  throw new BadRequestError(
    "invalid_cursor",
    "this cursor is none of ours: pass the nextCursor of the page before",
  );
}
