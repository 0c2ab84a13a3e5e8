/**
 * ChatOutbox: one per bot, and the only thing that talks to that bot's platform. It keeps what is to be sent (delivery/) and which
 * runs are shown where (board/); a run's truth stays with its event object, which is asked when a card is drawn.
 */
import { DurableObject } from "cloudflare:workers";
import type { ChatPlace } from "../../contract/chat/place.ts";
import type { ChatOrigin } from "../../contract/chat/place.ts";
import type { Env } from "../../worker/env.ts";
import type {
  ChannelFollows,
  ChatOutboxStatus,
  LateReply,
  PlainPost,
  RunNotice,
  RunNoticeAnswer,
} from "./calls.ts";

export class ChatOutbox extends DurableObject<Env> {
  /** From an event object: cheap, idempotent. */
  runChanged(_notice: RunNotice): RunNoticeAnswer {
    throw new Error("not written yet");
  }

  /** Shows a run in a place, besides those that follow its flow. */
  present(_runId: string, _origin: ChatOrigin): void {
    throw new Error("not written yet");
  }

  /** Somebody watches the run there: its card moves with its output until then (epoch ms). */
  follow(_runId: string, _place: ChatPlace, _until: number): void {
    throw new Error("not written yet");
  }

  /** The run whose thread or topic this is. */
  runOfThread(_place: ChatPlace): string | undefined {
    throw new Error("not written yet");
  }

  /** The newest runs shown in a channel or any of its threads, newest first. */
  runsOfChannel(_place: ChatPlace): string[] {
    throw new Error("not written yet");
  }

  post(_post: PlainPost): void {
    throw new Error("not written yet");
  }

  reply(_reply: LateReply): void {
    throw new Error("not written yet");
  }

  setFollows(_follows: ChannelFollows): void {
    throw new Error("not written yet");
  }

  status(): ChatOutboxStatus {
    throw new Error("not written yet");
  }
}
