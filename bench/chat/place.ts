/** Where the runs of the bench are shown: a fake platform that enforces its limits, and people who ask there. */

import type { EdgeClient } from "../../client/http.ts";

/** Of the events that people send. */
export const TALK_TYPE = "bench.talk";

export interface Place {
  /** The bot, by names of the Worker's environment. */
  env: Record<string, string>;
  /** What the owner of the edge does before anybody may ask. */
  prepare?(owner: EdgeClient): Promise<unknown>;
  /** Asks for so many runs by commands in the chat; resolves when all are taken. */
  ask(edgeUrl: string, runs: number): Promise<void>;
  look(): Seen;
  stop(): Promise<void>;
}

/** What stands there, and what came. */
export interface Seen {
  /** Oldest first in each channel, thread or chat; deleted ones are not there. */
  messages: SeenMessage[];
  /** Requests that were done. */
  created: number;
  edited: number;
  /** 429s by limits that the platform tells of, or that are known. */
  published: number;
  /** 429s by caps that nobody tells of, by route and channel. */
  hidden: ReadonlyMap<string, number>;
  /** Rules of the platform that were broken. */
  faults: string[];
}

export interface SeenMessage {
  /** Plain. */
  text: string;
  /** Epoch ms: when it was made. */
  at: number;
}
