/**
 * Asks threads of active runs for what people say to the bot, and says it to the run: once, and only by the scopes of whoever
 * wrote it. Off unless a channel or the deployment wants it, since each thread costs a request every few seconds.
 *
 * The access object admits a message once, and its id is stored before it is said: a crash in between loses it rather than
 * saying it twice.
 */
import { placeKey, userLabel } from "../../../contract/chat/place.ts";
import { parseRunId } from "../../../contract/ids.ts";
import type { Env } from "../../../worker/env.ts";
import type { Admission } from "../../chat-access/calls.ts";
import type { Delivery } from "../delivery/delivery.ts";
import type { PlatformAnswer } from "../delivery/platform.ts";
import type { ChatAccessCalls, ReadFromChat } from "./board.ts";
import type { ListenedThread, ListenedThreads } from "./listened-threads.ts";
import { Members, type Standing } from "./members.ts";
import {
  compareIds,
  heardIn,
  LISTENED_THREADS_MAX,
  nextRead,
  READS_PER_SECOND,
  type HeardMessage,
} from "./listening.ts";

/** After this long without a question, when it was asked is forgotten. */
const ASKED_KEPT_MS = 300_000;
const SECOND_MS = 1_000;

export interface ListenerOptions {
  env: Env;
  read: ReadFromChat;
  access: ChatAccessCalls;
  botId: string;
  now: () => number;
  threads: ListenedThreads;
  delivery: Delivery;
}

export class Listener {
  readonly #options: ListenerOptions;
  readonly #askedAt = new Map<string, number>();
  readonly #members: Members;
  #second = { at: 0, reads: 0 };

  constructor(options: ListenerOptions) {
    this.#options = options;
    this.#members = new Members((path, route, major) => this.#read(path, route, major));
  }

  /** Threads that are asked now and then, those first in which something has happened last. */
  threads(now: number): ListenedThread[] {
    return this.#options.threads
      .all()
      .filter(({ activeAt }) => nextRead(now, activeAt, now) !== undefined)
      .sort((a, b) => b.activeAt - a.activeAt)
      .slice(0, LISTENED_THREADS_MAX);
  }

  due(now: number): number | undefined {
    const dues = this.threads(now).flatMap((thread) => this.#dueOf(thread, now) ?? []);
    return dues.length === 0 ? undefined : Math.min(...dues);
  }

  /** Asks the threads that are due, the one that has waited longest first, as many as a second allows. */
  async tick(): Promise<void> {
    const now = this.#options.now();
    const due = this.threads(now)
      .filter((thread) => (this.#dueOf(thread, now) ?? Infinity) <= now)
      .sort((a, b) => this.#lastAsked(a) - this.#lastAsked(b));
    for (const thread of due) {
      if (this.#readsLeft(now) <= 0) return;
      this.#askedAt.set(placeKey(thread.place), now);
      await this.#listenTo(thread);
    }
    for (const [key, at] of this.#askedAt) if (now - at > ASKED_KEPT_MS) this.#askedAt.delete(key);
  }

  #lastAsked({ place }: ListenedThread): number {
    return this.#askedAt.get(placeKey(place)) ?? 0;
  }

  #dueOf(thread: ListenedThread, now: number): number | undefined {
    const due = nextRead(this.#lastAsked(thread), thread.activeAt, now);
    if (due === undefined || this.#readsLeft(now) > 0) return due;
    return Math.max(due, this.#second.at + SECOND_MS);
  }

  #readsLeft(now: number): number {
    return now - this.#second.at >= SECOND_MS ? READS_PER_SECOND : READS_PER_SECOND - this.#second.reads;
  }

  async #listenTo(thread: ListenedThread): Promise<void> {
    const { threads, botId, now } = this.#options;
    const { thread: id } = thread.place;
    const path = `/channels/${id}/messages?limit=100&after=${thread.after ?? id}`;
    const answer = await this.#read(path, "GET messages", id);
    const { messages, newest } = heardIn(answer?.body, botId);
    let last = thread.after ?? id;
    // By id of a user. Asked for anew in each answer: roles may be taken from somebody at any moment.
    const standings = new Map<string, Standing>();
    for (const message of messages) {
      if (compareIds(message.id, last) <= 0) continue;
      const standing = await this.#standingOf(thread, message, standings);
      // Who it is cannot be known now: it is taken the next time.
      if (standing === undefined) return;
      const said = { ...message, user: standing.user };
      const admission = message.text === "" ? undefined : await this.#admit(thread, message.id, standing);
      threads.read(thread, message.id, now());
      last = message.id;
      if (admission !== undefined) await this.#say(thread, said, admission);
    }
    if (newest !== undefined && compareIds(newest, last) > 0) threads.read(thread, newest, undefined);
  }

  #admit(
    { runId, place }: ListenedThread,
    id: string,
    { guild, user, roles, administrator }: Standing,
  ): Promise<Admission> {
    return this.#options.access.admit({
      key: keyOf({ id }),
      platform: "discord",
      tenant: guild,
      place: placeKey(place),
      user,
      roles,
      administrator,
      scope: "run:reply",
      act: "say",
      subject: runId,
    });
  }

  async #say(thread: ListenedThread, message: HeardMessage, admission: Admission): Promise<void> {
    const { env, access } = this.#options;
    const { text, user } = message;
    const parsed = parseRunId(thread.runId);
    if (parsed === undefined || admission.verdict === "replayed") return;
    if (admission.verdict === "denied") {
      this.#refuse(thread, message, `${user.name} may not say anything to runs here`);
      return;
    }
    const by = userLabel("discord", user);
    const said = await env.EVENTS.getByName(parsed.eventKey).say(parsed.n, { text, by });
    const outcome = said?.kind ?? "unknown_run";
    await access.conclude(admission.row, outcome, keyOf(message));
    if (outcome !== "said") this.#refuse(thread, message, NOT_SAID[outcome]);
  }

  #refuse({ place }: ListenedThread, { id }: HeardMessage, why: string): void {
    this.#options.delivery.post(`heard|${id}`, place, "event", {
      tone: "attention",
      title: "Not said to the run",
      lines: [why],
      silent: true,
    });
  }

  async #standingOf(
    { place }: ListenedThread,
    { user }: HeardMessage,
    known: Map<string, Standing>,
  ): Promise<Standing | undefined> {
    const standing =
      known.get(user.id) ?? (await this.#members.standingOf(place.channel, user, this.#options.now()));
    if (standing !== undefined) known.set(user.id, standing);
    return standing;
  }

  async #read(path: string, route: string, major: string): Promise<PlatformAnswer | undefined> {
    const now = this.#options.now();
    const left = this.#readsLeft(now);
    if (left <= 0) return undefined;
    if (left === READS_PER_SECOND) this.#second = { at: now, reads: 0 };
    this.#second.reads += 1;
    return this.#options.read({ kind: "read", path, route, major });
  }
}

function keyOf({ id }: Pick<HeardMessage, "id">): string {
  return `message:${id}`;
}

const NOT_SAID = {
  deaf: "A step of this kind listens to nobody",
  full: "Too many messages wait for this run already: say it again later",
  over: "This run is over",
  unknown_run: "This run is not stored any more",
} as const;
