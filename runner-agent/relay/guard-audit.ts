/**
 * What the guard has answered on this box, a line an answer: `${XDG_STATE_HOME:-~/.local/state}/codeflow/guard-audit.jsonl`.
 * The edge keeps its own; this one says what this box has asked. Never the command: a hint of it, redacted and cut.
 */
import { appendFile, mkdir } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { placeKey, type ChatPlace } from "../../contract/chat/place.ts";
import type { Secret } from "../config/step-environment.ts";
import { Redactor } from "../steps/redaction.ts";

const HINT_MAX_CHARS = 120;
const REASON_MAX_CHARS = 300;
/** Words of a command that a hint shows: what runs, not what it is told. */
const HINT_WORDS = 2;
const PRIVATE_FOLDER = 0o700;
const PRIVATE_FILE = 0o600;

export interface GuardAnswer {
  place: ChatPlace;
  mode: string;
  allowed: boolean;
  reason: string;
  commandHint: string;
}

export function commandHint(command: readonly string[], secrets: readonly Secret[]): string {
  const shown = command.slice(0, HINT_WORDS).join(" ");
  return new Redactor(secrets).text(shown).slice(0, HINT_MAX_CHARS);
}

/** The reason of a guard that could not be asked: it allows nothing. */
export function unavailable(error: unknown): string {
  const why = error instanceof Error ? error.message : String(error);
  return `unavailable: ${why}`.slice(0, REASON_MAX_CHARS);
}

/** An audit that cannot be written holds nobody up: the edge's counts. */
export async function auditGuard(
  { place, ...answer }: GuardAnswer,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<void> {
  const state = environment["XDG_STATE_HOME"] ?? join(environment["HOME"] ?? homedir(), ".local", "state");
  const file = join(state, "codeflow", "guard-audit.jsonl");
  const line = JSON.stringify({ at: new Date().toISOString(), place: placeKey(place), ...answer });
  try {
    await mkdir(dirname(file), { recursive: true, mode: PRIVATE_FOLDER });
    await appendFile(file, `${line}\n`, { mode: PRIVATE_FILE });
  } catch {
    // A read-only home.
  }
}
