/**
 * What a check of the doctor is. Each looks at one thing of the box and says what it found and how to mend it; it
 * changes nothing that stays, and touches the box only through `Box`, so that every finding can be shown in a test.
 * A new check is a function of this form in a file of its concern, and its line in doctor.ts.
 */
import type { StepKind } from "../../contract/flow-manifest.ts";
import type { RunnerConfig } from "../config/runner-config.ts";

/** `missing`: the agent, or steps of some kind, cannot work. `warn`: it works, and somebody should know. */
export type CheckState = "ok" | "warn" | "missing";

export interface Finding {
  state: CheckState;
  found: string;
  /** What to do; absent when nothing is. */
  fix?: string;
  /** What is missing costs steps of these kinds alone: where the workspace has none, it is a warning. */
  onlyFor?: readonly StepKind[];
}

/** How a program ended that was asked something; `unstarted`: it is not there, or could not be run. */
export interface ProgramAnswer {
  unstarted: boolean;
  exitCode: number | undefined;
  stdout: string;
  stderr: string;
}

/** What came of opening a WebSocket; `way` is the proxy that it went through, in words. */
export type SocketAnswer = { way: string | undefined } & (
  { kind: "open" } | { kind: "refused"; status: number } | { kind: "failed"; why: string }
);

/** The box as the checks see it. */
export interface Box {
  environment: Readonly<Record<string, string | undefined>>;
  /** Version of the Node that runs this. */
  nodeVersion: string;
  /** Absolute. */
  workspace: string;
  /** Folder of the journal, absolute. */
  journal: string;
  /** The edge, and the runner's token for it; absent when nobody has said. */
  url: string | undefined;
  token: string | undefined;
  pool: string;
  /** The box's configuration, or why it cannot be used. */
  config: { file: string; value: RunnerConfig } | { file: string; fault: string };
  /** What runs steps of this kind: program and first arguments. */
  programs: Record<"bun" | "codex", string[]>;
  /** `variables` are added to this process's own. */
  run(
    file: string,
    args: readonly string[],
    variables?: Readonly<Record<string, string>>,
  ): Promise<ProgramAnswer>;
  fetch: typeof globalThis.fetch;
  openSocket(url: string, headers: Record<string, string>): Promise<SocketAnswer>;
  /** Epoch ms. */
  now(): number;
  /** Bytes that this user may still write where the path is, or will be. */
  freeBytes(path: string): Promise<number>;
  /** The soft limit of open files; undefined: none, or this system does not tell. */
  openFilesLimit(): number | undefined;
  canRead(path: string): boolean;
  isDirectory(path: string): boolean;
}

export interface Check {
  /** As it stands in the table and in --json. */
  name: string;
  probe(box: Box): Finding | Promise<Finding>;
}

/** What is wrong, in the words of whoever noticed. */
export function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
