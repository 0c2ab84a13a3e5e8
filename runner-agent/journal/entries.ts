/** What the journal is made of: attempts, and what is owed of each as numbered entries; as values and as rows. */
import type { SQLOutputValue } from "node:sqlite";
import type { ApprovalRequest } from "../../contract/approvals.ts";
import type { FlowResult } from "../../contract/flow-result.ts";
import type { AttemptEnd } from "../../contract/run-record.ts";
import type { OutputChunk, OutputStream } from "../../contract/runner-link.ts";

/** An attempt that this box has claimed and not yet handed over completely. */
export interface JournaledAttempt {
  runId: string;
  attempt: number;
  lease: string;
}

/** One numbered thing to send. */
export type JournalEntry =
  | { kind: "output"; chunk: OutputChunk }
  | { kind: "result"; seq: number; result: FlowResult }
  | { kind: "approval"; seq: number; request: ApprovalRequest }
  | { kind: "approval_withdrawn"; seq: number; id: string }
  | { kind: "end"; seq: number; end: AttemptEnd };

/** An entry as it stands in its table. The body is bytes: a text would be read back only up to its first NUL. */
export interface JournalRow {
  seq: number;
  kind: JournalEntry["kind"];
  stream: OutputStream | null;
  /** Of output: when it was read, epoch ms. */
  at: number | null;
  body: Uint8Array;
}

export function rowOf(row: Record<string, SQLOutputValue>): JournalRow {
  return {
    seq: Number(row["seq"]),
    kind: row["kind"] as JournalRow["kind"],
    stream: row["stream"] as OutputStream | null,
    at: row["at"] === null ? null : Number(row["at"]),
    body: row["body"] as Uint8Array,
  };
}

export function entryOf({ seq, kind, stream, at, body }: JournalRow): JournalEntry {
  const text = Buffer.from(body).toString();
  switch (kind) {
    case "output":
      return { kind, chunk: { seq, stream: stream ?? "system", text, at: at ?? 0 } };
    case "result":
      return { kind, seq, result: JSON.parse(text) as FlowResult };
    case "approval":
      return { kind, seq, request: JSON.parse(text) as ApprovalRequest };
    case "approval_withdrawn":
      return { kind, seq, id: JSON.parse(text) as string };
    case "end":
      return { kind, seq, end: JSON.parse(text) as AttemptEnd };
  }
}
