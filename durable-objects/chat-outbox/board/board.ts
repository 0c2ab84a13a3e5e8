/**
 * What the outbox asks of the board: which runs are shown where. The object (object.ts) hands over the calls of others,
 * and its clock: it ticks when something is `due`. The board speaks only through `delivery`, which writes rows; the
 * object drains after every call, and when the board has `said` something by itself.
 */
import type { ChatPlatform, ChatOrigin, ChatPlace } from "../../../contract/chat/place.ts";
import type { Env } from "../../../worker/env.ts";
import type { ChannelFollows, ChatOutboxStatus, RunNotice, RunNoticeAnswer } from "../calls.ts";
import type { Admission, Attempt } from "../../chat-access/calls.ts";
import type { Delivery } from "../delivery/delivery.ts";
import type { Job, PlatformAnswer } from "../delivery/platform.ts";

export type ReadFromChat = (job: Extract<Job, { kind: "read" }>) => Promise<PlatformAnswer | undefined>;

/** What the board asks of the chat access object. */
export interface ChatAccessCalls {
  admit(attempt: Attempt): Promise<Admission>;
  conclude(row: number, outcome: string, key: string): Promise<void>;
}

export interface BoardOptions {
  storage: DurableObjectStorage;
  delivery: Delivery;
  env: Env;
  platform: ChatPlatform;
  now: () => number;
  /** Reads from the platform, within its limits and after all that is to be sent; undefined: not now. Absent: nothing is read. */
  read?: ReadFromChat;
  /** Who may say something to a run. Absent: nobody is listened to. */
  access?: ChatAccessCalls;
  /** Something has been said to the delivery by a look. */
  said: () => void;
  /** Asks for a tick at that time (epoch ms) or before. */
  wakeBy: (due: number) => void;
}

export interface Board {
  runChanged(notice: RunNotice): RunNoticeAnswer | Promise<RunNoticeAnswer>;
  present(runId: string, origin: ChatOrigin): void | Promise<void>;
  follow(runId: string, place: ChatPlace, until: number): void | Promise<void>;
  runOfThread(place: ChatPlace): string | undefined;
  runsOfChannel(place: ChatPlace): string[];
  setFollows(follows: ChannelFollows): void | Promise<void>;
  /** When it has something to do next, epoch ms; undefined: nothing. */
  due(now: number): number | undefined;
  /** Does what is due. What fails stays due. */
  tick(): Promise<void>;
  /** It will say something of what was posted or drawn under this key of a row: its run is not over. */
  needs(rowKey: string): boolean;
  status(): Pick<ChatOutboxStatus, "shownRuns" | "polling">;
}
