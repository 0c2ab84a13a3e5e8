/**
 * Who a runner is: its id, and the secret key that proves it. Both live in the journal, because whoever has the journal owes
 * the edge what is in it. The first hello with a new id binds it to the key at the edge.
 */
import { randomBytes } from "node:crypto";
import type { Journal } from "./journal.ts";

const KEY_BYTES = 32;

export interface RunnerKey {
  runnerId: string;
  key: string;
}

const newRunnerId = (): string => `runner_${crypto.randomUUID().replaceAll("-", "").slice(0, 16)}`;
const newKey = (): string => randomBytes(KEY_BYTES).toString("base64url");

/** The journal's identity, made on first use. Throws JournalUnusableError. */
export function runnerIdentity(journal: Journal): RunnerKey {
  return { runnerId: journal.setting("runnerId", newRunnerId), key: journal.setting("runnerKey", newKey) };
}

/** Gives the journal a new identity, for a machine that is a copy of another. Throws JournalUnusableError. */
export function renewRunnerIdentity(journal: Journal): RunnerKey {
  journal.forgetSettings(["runnerId", "runnerKey"]);
  return runnerIdentity(journal);
}
