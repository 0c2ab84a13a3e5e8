/**
 * What the board remembers: of a run that is shown, and of each place that shows it. One document a row; what is due is
 * computed from them (rules.ts), so that a crash forgets nothing but how fresh a card is.
 */
import type { ApprovalState } from "../../../contract/approvals.ts";
import type { ChatUser } from "../../../contract/chat/place.ts";

/** `unseen`: nobody has looked at it yet. */
export type RunPhase = "unseen" | "queued" | "running" | "over";

/** A run that is shown somewhere. All times are epoch ms. */
export interface ShownRun {
  runId: string;
  flow: string;
  eventType: string;
  /** When it was first shown. */
  seenAt: number;
  phase: RunPhase;
  /** Its event object has told of it, not only somebody who wants to see it. */
  heard: boolean;
  /** It was said to have changed, and has not been drawn since. */
  changed: boolean;
  /** There is more of its output than one look has read. */
  behind?: boolean;
  /** While it waits for a runner: the last look, and how many there were. */
  waiting?: { at: number; looks: number };
  /** Of a relayed session: its box is away, and nothing new is to be seen until it is back. */
  away?: boolean;
  /** When it was seen to be over, and whether its threads are closed since. */
  endedAt?: number;
  closed?: boolean;
  /** Bytes of its output when all items in it had been read. */
  outputRead?: number;
  /** What its agent's thread had used when that was last said. */
  tokens?: number;
  /** How a relayed session has summed itself up. */
  summary?: string;
  /** Why its agent's last turn failed, in the agent's own words. */
  failure?: string;
}

/** One place that shows a run. */
export interface Showing {
  runId: string;
  /** Key of the place (contract/chat/place). */
  place: string;
  shownAt: number;
  /** Why it is shown there: somebody asked for the run there, the channel follows its flow, or it was told to. */
  via: "origin" | "follows" | "present";
  /** It has a thread or topic of its own there. */
  thread: boolean;
  /** That thread was asked for. */
  opened: boolean;
  /** Who asked for it there, and is told how it ends. */
  user?: ChatUser;
  /** Somebody watches, since and until when. */
  follow?: { from: number; until: number };
  /** Output whose items have been posted. */
  cursor?: string;
  /** Items posted in this minute, and what was left out since the last one. */
  pace?: { at: number; chars: number; posts: number };
  leftOut?: { items: number; chars: number };
  /** The newest words of the agent, for which there was no room yet. */
  unsaid?: string;
  /** Which words were posted last (`keyOfAnswer`), so that the end message does not repeat them. */
  answered?: string;
  /** The last message of people that was picked up in its thread, and when (epoch ms). */
  heard?: { id: string; at: number };
  /** Approvals that were posted here, as they were last drawn. */
  approvals: Record<string, ApprovalState>;
  /** It was said here how the run ended, or nobody here is waiting for it. */
  final: boolean;
  /** Its end message was posted here, so the card need not repeat it. */
  endIsBelow?: boolean;
}
