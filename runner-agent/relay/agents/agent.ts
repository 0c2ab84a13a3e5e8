/**
 * What a relay needs to know of a coding agent: which commands are its, how its command is completed so that it tells
 * what it does, and what its stream means as items. One file an agent; `raw.ts` is for all others.
 */
import { UsageError } from "../../cli/problem.ts";
import type { AgentItem, TokenCounts } from "../../../contract/agent-item.ts";

/** The command cannot be relayed as it was given; nothing was started. */
export class RelayCommandError extends UsageError {}

/** What the relay knows when it completes a command. */
export interface LaunchContext {
  /** Whether a prompt may stand among the arguments, where others can see it and a shell may have spoilt it. */
  prompt: "argv" | "stdin";
  /** What stands on the relay's own standard input; undefined: nothing, or a terminal. */
  stdin(): Promise<string | undefined>;
  /** The relay's own standard input is a pipe or a file, which belongs to the program. */
  isInputPiped: boolean;
  /** Thread of this agent to go on with, once the prompt is known. */
  earlierThread(prompt: string): Promise<EarlierThread | undefined>;
}

/** A thread of the agent, and what it had used when it was left: its counts go on from there. */
export interface EarlierThread {
  thread: string;
  /** The session goes on in this thread or fails; else it may begin a new one. */
  isRequired?: boolean;
  tokens?: TokenCounts | undefined;
}

export interface AgentLaunch {
  file: string;
  args: string[];
  /** Runs in a terminal of its own: what it prints is text, and what is said to it is typed. */
  terminal: boolean;
  /** Written to its standard input at once. */
  input: string;
  /** Its input is the relay's own, as it comes. */
  pipesInput?: boolean;
  /** Of the thread that it goes on with. */
  tokensBefore?: TokenCounts | undefined;
  /** What is said to it later, as it is written to its input; absent: its input is closed, it hears nothing. */
  say?: (text: string) => string;
  /** Why it ended without a word in its stream, read from its standard error; undefined: for a reason that is not known. */
  explainExit?: (errors: string) => string | undefined;
  /** Started instead, once, when it ended for a reason that `explainExit` knows. */
  startOver?: AgentLaunch;
}

/** What a line means. */
export interface ReadLine {
  items: AgentItem[];
  facts?: SessionFacts;
  /** Terminal event: nothing that counts follows (invariant 9). */
  over?: boolean;
}

/** What the agent tells of its session as a whole. Later ones replace earlier ones, key by key. */
export interface SessionFacts {
  /** The agent's own id of the session. */
  thread?: string;
  model?: string;
  turns?: number;
  costUsd?: number;
  /** It says itself that it has failed, and why: a sentence without its subject's name. */
  failed?: string;
}

/** Reads the stream of one session. Never throws: a line that is not understood is no item. */
export interface AgentReader {
  /** An event that was one line of JSON; secrets are gone from it already. */
  event(event: unknown): ReadLine;
  /** What it has held back, when its stream is over. */
  end?(): AgentItem[];
}

export interface Agent {
  /** Short: `codex`, `claude`. */
  name: string;
  /** As people see it; of a program that is no agent, the program's name. */
  title(command: readonly string[]): string;
  fits(command: readonly string[]): boolean;
  /** @throws RelayCommandError */
  launch(command: readonly string[], context: LaunchContext): Promise<AgentLaunch>;
  /** Absent: its output is text. `cwd` is what paths are told relative to. */
  reader?(cwd: string, launch: AgentLaunch): AgentReader;
}
