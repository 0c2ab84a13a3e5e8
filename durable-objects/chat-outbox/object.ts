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
import { Errand } from "../kit/errand.ts";
import type { Board } from "./board/board.ts";
import { confirmationsOf, runOfKey } from "./board/effects.ts";
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

/** How long after a call the alarm takes up what a crash may have left. */
const TAKE_UP_AFTER_MS = 5_000;
/** Shorter waits for a look are slept through; for longer ones the object may go and is woken by its alarm. */
const NAP_MAX_MS = 2_000;
/** Between two looks at what is due. */
const LOOK_PAUSE_MS = 10;

export class ChatOutbox extends DurableObject<Env> {
  readonly #alarm: AlarmSchedule;
  readonly #delivery: Delivery;
  readonly #sender: Sender;
  readonly #board: Board;
  readonly #looking = new Errand(() => this.#look());
  /** Work whose end is waited for. */
  readonly #underWay = new WeakSet<Promise<unknown>>();

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    const name: ChatPlatform = ctx.id.name?.startsWith("telegram:") === true ? "telegram" : "discord";
    const bot = botPlatform(env, name);
    const rows = new DeliveryRows(ctx.storage);
    this.#alarm = new AlarmSchedule(ctx.storage);
    this.#delivery = new Delivery(rows, bot.platform);
    this.#sender = new Sender({
      rows,
      ...bot,
      now: Date.now,
      isNeeded: (key) => this.#board.needs(key),
    });
    this.#board = new RunBoard({
      storage: ctx.storage,
      delivery: this.#delivery,
      env,
      platform: name,
      now: Date.now,
      read: (job) => this.#sender.read(job),
      access: env.CHAT_ACCESS.getByName(CHAT_ACCESS),
      said: () => {
        this.#await(this.#sender.drain());
      },
      wakeBy: (due) => {
        ctx.waitUntil(this.#alarm.wakeBy(Math.max(due, Date.now() + TAKE_UP_AFTER_MS)));
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

  /** The run that one of the bot's messages is about, by the platform's id of the message. */
  runOfMessage(channel: string, messageId: string): string | undefined {
    const key = this.#delivery.keyOf(channel, messageId);
    return key === undefined ? undefined : runOfKey(key);
  }

  /** The newest runs shown in a channel or any of its threads, newest first. */
  runsOfChannel(place: ChatPlace): string[] {
    return this.#board.runsOfChannel(place);
  }

  /** Stored when this returns. A key that was posted before is a duplicate, and nothing is posted again. */
  async post({ key, place, class: deliveryClass, message }: PlainPost): Promise<PostAnswer> {
    if (this.#sender.waiting >= CHAT_WAITING_MAX) return { status: "full" };
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

  /** Short, however much there is to do: no other alarm of this object fires before it is over. */
  override async alarm(): Promise<void> {
    this.#alarm.fired();
    await this.#go();
  }

  /**
   * The alarm first, so that a crash from here on loses nothing; then at once, with nobody waiting for it: looks and sends
   * side by side, neither behind the other. Each says in the end when it has to go on.
   */
  async #go(): Promise<void> {
    const soon = this.#soon(Date.now());
    if (soon === undefined) return;
    await this.#alarm.wakeBy(soon);
    this.#await(this.#sender.drain());
    this.#await(this.#looking.call());
  }

  async #look(): Promise<number | undefined> {
    for (;;) {
      await this.#board.tick();
      const due = this.#board.due(Date.now());
      if (due === undefined || due > Date.now() + NAP_MAX_MS) return due;
      await this.#looking.rest([], Math.max(due - Date.now(), LOOK_PAUSE_MS));
    }
  }

  /** Work that many have called for is waited for once. */
  #await(work: Promise<number | undefined>): void {
    if (this.#underWay.has(work)) return;
    this.#underWay.add(work);
    this.ctx.waitUntil(
      work
        .then((due) => this.#alarm.wakeBy(due))
        .catch((error: unknown) => {
          console.error(JSON.stringify({ message: "the outbox could not go on", error: String(error) }));
        }),
    );
  }

  /** When the alarm is to take up what is due, should nobody get to it before: undefined when there is nothing to do. */
  #soon(now: number): number | undefined {
    const due = earlier(this.#sender.pending ? now : undefined, this.#board.due(now));
    return due === undefined ? undefined : Math.max(due, now + TAKE_UP_AFTER_MS);
  }
}

function earlier(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? (a ?? b) : Math.min(a, b);
}
