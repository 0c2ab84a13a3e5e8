/** What is said in the calls of a chat outbox: plain data, both ways. */
import type { ChatMessage, DeliveryClass } from "../../contract/chat/message.ts";
import type { ChatOrigin, ChatPlace } from "../../contract/chat/place.ts";

/**
 * A run has changed, or is new. It carries only what decides whether anybody watches: the outbox looks at the run itself
 * when it is about to draw it. Said again after a crash: it must change nothing twice.
 */
export interface RunNotice {
  runId: string;
  flow: string;
  eventType: string;
  /** The request that the run came from. */
  origin?: ChatOrigin;
}

/** `shown` false: nobody watches this run here, and nobody will unless the outbox is told to show it. */
export interface RunNoticeAnswer {
  shown: boolean;
}

/** What a channel wants to see: a projection of its settings, which alone are the truth. */
export interface ChannelFollows {
  place: ChatPlace;
  /** Flow names, and types of events; `*` for all. */
  flows: string[];
  types: string[];
  /** Runs get a thread (a topic, a forum post) of their own. */
  threads: boolean;
  output: OutputMode;
  /** Bodies of commands and files are left out. */
  safe: boolean;
  /** On Discord: what mentions the bot in a run's thread is said to the run. Absent: as the deployment says. */
  listen?: boolean;
}

export const OUTPUT_MODES = ["minimal", "balanced", "verbose"] as const;
export type OutputMode = (typeof OUTPUT_MODES)[number];

/** An answer that came too late for its interaction's own response. */
export interface LateReply {
  /** The same key is sent once. */
  key: string;
  applicationId: string;
  interactionToken: string;
  /** Epoch ms: when the interaction came. Its token dies 15 minutes later. */
  at: number;
  message: ChatMessage;
  /** Of a non-ephemeral answer: where it goes when the token is dead. */
  place?: ChatPlace;
}

export interface PlainPost {
  /** The same key is sent once. */
  key: string;
  place: ChatPlace;
  class: DeliveryClass;
  message: ChatMessage;
}

/** `full`: too many wait already, and nothing was stored. */
export interface PostAnswer {
  status: "accepted" | "duplicate" | "full";
}

/** Health of a platform's delivery, for `/status` and `codex-flow status`. */
export interface ChatOutboxStatus {
  waiting: { final: number; event: number; state: number };
  /** Age of the oldest waiting message, ms. */
  oldestMs?: number;
  sent: number;
  limited: number;
  /** Why nothing is sent at all, and until when (epoch ms; absent: until somebody mends it). */
  halted?: { code: string; message: string; until?: number };
  /** Targets that take nothing any more. */
  parked: { place: string; code: string; message: string; at: number; waiting: number }[];
  /** Runs that are shown somewhere and not over. */
  shownRuns: number;
  /** Picking up plain messages by polling, on Discord: whether channels that say nothing of it have it; threads polled now. */
  polling?: { usually: boolean; threads: number };
}
