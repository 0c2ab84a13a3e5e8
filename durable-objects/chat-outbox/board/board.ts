/**
 * What the outbox asks of the board: which runs are shown where. The object (object.ts) hands over the calls of others,
 * and its clock: `due` and `tick` are asked by the alarm and after each drain. The board speaks only through
 * `delivery`, which writes rows; the object drains after every call.
 */
import type { ChatPlatform, ChatOrigin, ChatPlace } from "../../../contract/chat/place.ts";
import type { Env } from "../../../worker/env.ts";
import type { ChannelFollows, ChatOutboxStatus, RunNotice, RunNoticeAnswer } from "../calls.ts";
import type { Delivery } from "../delivery/delivery.ts";

export interface BoardOptions {
  storage: DurableObjectStorage;
  delivery: Delivery;
  env: Env;
  platform: ChatPlatform;
  now: () => number;
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
  tick(now: number): Promise<void>;
  status(): Pick<ChatOutboxStatus, "shownRuns" | "polling">;
}
