/** What is said in the calls of an event object: plain data, both ways. */
import type { ChatOrigin } from "../../contract/chat/place.ts";
import type { FlowEvent, Lineage } from "../../contract/flow-event.ts";
import type { Flow, StartableStep } from "../../contract/flow-manifest.ts";
import type { OutputChunkView, RunView } from "../../contract/run-view.ts";

/** A step that an event starts. */
export interface MatchedStep {
  flow: Pick<Flow, "name" | "version" | "digest">;
  step: StartableStep;
}

/** The request that runs come from, beside their event. */
export interface AskedBy {
  /** Where in a chat it was made, and by whom. */
  chat?: ChatOrigin | undefined;
  /** Its key, when it is for what is stored already: the same request makes its runs once. */
  request?: string | undefined;
}

export interface IngestRequest extends AskedBy {
  key: string;
  event: FlowEvent;
  /** sha256 of the event's identity. */
  identity: string;
  matches: MatchedStep[];
  lineage: Lineage;
  origin: "event" | "replay" | "next";
  /** Of a relayed session, in place of a claim key of the edge's own. */
  session?: { claimKey?: string } | undefined;
  /** Receipt at the edge, epoch ms. */
  createdAt: number;
}

/** An event that this object owns now, or owned before. */
export interface KnownEvent {
  status: "accepted" | "duplicate";
  conflict: boolean;
  runs: RunView[];
}
/** `full`: it matches more steps than an event may have runs; nothing was stored. */
export type IngestAnswer = KnownEvent | { status: "full" };

export type ReplayAnswer = { kind: "runs"; runs: RunView[] } | { kind: "unknown" } | { kind: "full" };
export interface OutputPage {
  output: OutputChunkView[];
  /** More is stored behind it. */
  more: boolean;
  /** Nothing will ever stand behind it. */
  complete: boolean;
}
/** What a pool should hold of a run: what it reconciles its own view with. */
export type AttemptPosition =
  | { kind: "waiting"; attempt: number }
  | { kind: "running"; attempt: number; runnerId: string }
  /** The run is over, or backs off and will be sent when it is due. */
  | { kind: "nothing" };

/** Of a relayed session: whose it is, what it is about, and where it works. */
export interface RelayedSession {
  agent: string;
  title: string;
  workdir: string;
}

/** A run at a glance, for a card in a chat. */
export interface RunGlance {
  run: RunView;
  eventType: string;
  session?: RelayedSession;
  /** What was asked for, in the words of the event: its prompt, its text or its title. On one line. */
  asked?: string;
  /** The end of its output in words, oldest line first. */
  lines: string[];
  /** Of an agent at work: its newest plan and the newest word of it. */
  plan?: { done: number; total: number; current?: string };
}
