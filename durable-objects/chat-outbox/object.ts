/**
 * ChatOutbox: one per bot, and the only thing that talks to that bot's platform. It keeps what is to be sent (delivery/) and which
 * runs are shown where (board/); a run's truth stays with its event object, which is asked when a card is drawn.
 *
 * Whatever a call asks for is a row when the call is answered, and the alarm is armed with it: what a crash left is
 * sent without anybody calling.
 */
import { DurableObject } from "cloudflare:workers";
import type { ApprovalView } from "../../contract/approvals.ts";
import type { ChatOrigin, ChatPlace, ChatPlatform } from "../../contract/chat/place.ts";
import { CHAT_WAITING_MAX } from "../../contract/limits.ts";
import type { Env } from "../../worker/env.ts";
import { AlarmSchedule } from "../kit/alarm.ts";
import { CHAT_ACCESS } from "../chat-access/naming.ts";
import { within } from "../kit/deadline.ts";
import type { Board } from "./board/board.ts";
import { confirmationsOf } from "./board/effects.ts";
import { confirmedMessage } from "./board/posts.ts";
import { RunBoard } from "./board/run-board.ts";
import type {
  ChannelFollows,
  ChatOutboxStatus,
  LateReply,
  PlainPost,
  PostAnswer,
  RunNotice,
  RunNoticeAnswer,
} from "./calls.ts";
import { Delivery } from "./delivery/delivery.ts";
import { DeliveryRows } from "./delivery/rows.ts";
import { Sender } from "./delivery/sender.ts";
import { botPlatform } from "./bot.ts";

/** How long after a call the alarm drains what a crash may have left. */
const DRAIN_AGAIN_MS = 5_000;
/** Between two tries to look at what is due, when there is no room for it. */
const LOOK_PAUSE_MS = 10;

export class ChatOutbox extends DurableObject<Env> {
  readonly #alarm: AlarmSchedule;
  readonly #delivery: Delivery;
  readonly #sender: Sender;
  readonly #board: Board;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    const name: ChatPlatform = ctx.id.name?.startsWith("telegram:") === true ? "telegram" : "discord";
    const bot = botPlatform(env, name);
    const rows = new DeliveryRows(ctx.storage);
    this.#alarm = new AlarmSchedule(ctx.storage);
    this.#delivery = new Delivery(rows, bot.platform);
    this.#sender = new Sender({ rows, ...bot, now: Date.now });
    this.#board = new RunBoard({
      storage: ctx.storage,
      delivery: this.#delivery,
      env,
      platform: name,
      now: Date.now,
      read: (job) => this.#sender.read(job),
      access: env.CHAT_ACCESS.getByName(CHAT_ACCESS),
      wakeBy: (due) => {
        ctx.waitUntil(this.#alarm.wakeBy(due));
      },
    });
    if (!rows.exists && this.#board.due(Date.now()) === undefined) return;
    // A platform that lost the alarm would let messages wait for ever, and a new token may be what all wait for: look
    // at every construction.
    void ctx.blockConcurrencyWhile(async () => {
      await this.#alarm.load();
      await this.#alarm.wakeBy(this.#soon(Date.now()));
    });
  }

  /** From an event object: cheap, idempotent. */
  async runChanged(notice: RunNotice): Promise<RunNoticeAnswer> {
    const answer = await this.#board.runChanged(notice);
    await this.#go();
    return answer;
  }

  /** Shows a run in a place, besides those that follow its flow. */
  async present(runId: string, origin: ChatOrigin): Promise<void> {
    await this.#board.present(runId, origin);
    await this.#go();
  }

  /** Somebody watches the run there: its card moves with its output until then (epoch ms). */
  async follow(runId: string, place: ChatPlace, until: number): Promise<void> {
    await this.#board.follow(runId, place, until);
    await this.#go();
  }

  /** The run whose thread or topic this is. */
  runOfThread(place: ChatPlace): string | undefined {
    return this.#board.runOfThread(place);
  }

  /** The newest runs shown in a channel or any of its threads, newest first. */
  runsOfChannel(place: ChatPlace): string[] {
    return this.#board.runsOfChannel(place);
  }

  /** Stored when this returns. A key that was posted before is a duplicate, and nothing is posted again. */
  async post({ key, place, class: deliveryClass, message }: PlainPost): Promise<PostAnswer> {
    const { waiting } = this.#sender.status();
    if (waiting.final + waiting.event + waiting.state >= CHAT_WAITING_MAX) return { status: "full" };
    const fresh = this.#delivery.post(key, place, deliveryClass, message);
    await this.#go();
    return { status: fresh ? "accepted" : "duplicate" };
  }

  async reply(reply: LateReply): Promise<void> {
    this.#delivery.reply(reply);
    await this.#go();
  }

  /** It was answered, or nobody waits for an answer any more: nobody has to confirm one. */
  async approvalOver(approval: ApprovalView): Promise<void> {
    const { runId, id } = approval;
    this.#delivery.rewriteAll(confirmationsOf(runId, id), confirmedMessage(runId, approval));
    await this.#go();
  }

  async setFollows(follows: ChannelFollows): Promise<void> {
    await this.#board.setFollows(follows);
    await this.#go();
  }

  status(): ChatOutboxStatus {
    return { ...this.#sender.status(), ...this.#board.status() };
  }

  override async alarm(): Promise<void> {
    this.#alarm.fired();
    let due: number | undefined = Date.now() + DRAIN_AGAIN_MS;
    try {
      due = await this.#work();
    } finally {
      await this.#alarm.wakeBy(due);
    }
  }

  /** The alarm first, so that a crash from here on loses nothing; then at once, with nobody waiting for it. */
  async #go(): Promise<void> {
    const soon = this.#soon(Date.now());
    if (soon === undefined) return;
    await this.#alarm.wakeBy(soon);
    this.ctx.waitUntil(
      this.#work()
        .then((due) => this.#alarm.wakeBy(due))
        .catch((error: unknown) => {
          console.error(JSON.stringify({ message: "the outbox could not drain", error: String(error) }));
        }),
    );
  }

  /**
   * Looks and sends side by side: while many messages wait for their time, cards that somebody follows go on moving, and
   * no message waits for a look. Resolves with when to go on.
   */
  async #work(): Promise<number | undefined> {
    // Awaited below, with what the look brings; until then nobody listens.
    this.#sender.drain().catch(() => undefined);
    for (;;) {
      await this.#board.tick(Date.now());
      const drained = this.#sender.drain().then((due) => ({ due }));
      const lookAt = this.#board.due(Date.now());
      const sent =
        lookAt === undefined
          ? await drained
          : await within(drained, Math.max(lookAt - Date.now(), LOOK_PAUSE_MS), () => undefined);
      if (sent === undefined) continue;
      const next = this.#board.due(Date.now());
      if (next === undefined || next > Date.now()) return earlier(sent.due, next);
      // The looks of another call fill all places: without a pause this loop would leave them no time.
      await within(new Promise<never>(() => undefined), LOOK_PAUSE_MS, () => undefined);
    }
  }

  /** When the alarm is to look, should nobody get to it before: undefined when there is nothing to do. */
  #soon(now: number): number | undefined {
    return earlier(this.#sender.pending ? now + DRAIN_AGAIN_MS : undefined, this.#board.due(now));
  }
}

function earlier(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? (a ?? b) : Math.min(a, b);
}
