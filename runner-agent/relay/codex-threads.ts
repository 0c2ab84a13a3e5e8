/**
 * Which thread of Codex belongs to a folder, so that a relay goes on where the last one in the same folder has stopped.
 * Keyed by the folder's real path; one JSON file for all relays of a user (CODEFLOW_CODEX_SESSION_MAP).
 */
import { realpath } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TokenCounts } from "../../contract/agent-item.ts";
import { RelayCommandError, type EarlierThread } from "./agents/agent.ts";
import { countOf, objectOf, textOf } from "./agents/item-parts.ts";
import { readOwnFile, replaceFile } from "./small-file.ts";

/** `auto`: the earlier thread where there is one, and none when the prompt says /new. */
export const SESSION_MODES = ["auto", "new", "reuse"] as const;
export type SessionMode = (typeof SESSION_MODES)[number];

/** Folders that are remembered; the oldest go first. */
const FOLDERS_MAX = 500;
const NEW = /(^|\s)\/new(\s|$)/;

export function threadsFile(environment: Readonly<Record<string, string | undefined>>): string {
  const given = environment["CODEFLOW_CODEX_SESSION_MAP"];
  return given === undefined || given === "" ? join(tmpdir(), "dev-relay-codex-sessions.json") : given;
}

export class CodexThreads {
  readonly #file: string;

  constructor(file: string) {
    this.#file = file;
  }

  /** The thread to go on with; undefined for a new one. @throws RelayCommandError when one is required and unknown */
  async choose(mode: SessionMode, workdir: string, prompt: string): Promise<EarlierThread | undefined> {
    if (mode === "new" || (mode === "auto" && NEW.test(prompt))) return undefined;
    const folder = await realpath(workdir);
    const known = objectOf((await this.#read())[folder]);
    const thread = textOf(known["thread"]);
    if (thread !== "") return { thread, tokens: tokensOf(known["tokens"]), isRequired: mode === "reuse" };
    if (mode === "auto") return undefined;
    throw new RelayCommandError(
      `there is no earlier Codex session for ${folder}`,
      `leave out --reuse-session for the first one; sessions are remembered in ${this.#file}`,
    );
  }

  async remember(workdir: string, thread: EarlierThread, now: number): Promise<void> {
    const folder = await realpath(workdir);
    const known = Object.entries(await this.#read()).filter(([path]) => path !== folder);
    const kept = known.slice(-(FOLDERS_MAX - 1));
    await replaceFile(this.#file, {
      ...Object.fromEntries(kept),
      [folder]: { thread: thread.thread, tokens: thread.tokens, at: new Date(now).toISOString() },
    });
  }

  async #read(): Promise<Record<string, unknown>> {
    return objectOf(await readOwnFile(this.#file));
  }
}

function tokensOf(value: unknown): TokenCounts | undefined {
  if (value === undefined) return undefined;
  const counts = objectOf(value);
  return {
    totalTokens: countOf(counts["totalTokens"]),
    inputTokens: countOf(counts["inputTokens"]),
    cachedInputTokens: countOf(counts["cachedInputTokens"]),
    outputTokens: countOf(counts["outputTokens"]),
    reasoningOutputTokens: countOf(counts["reasoningOutputTokens"]),
  };
}
