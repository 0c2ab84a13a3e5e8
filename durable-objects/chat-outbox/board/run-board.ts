/**
 * RunBoard: which runs are shown where, and the drawing of their cards. Wired here: rows (storage.ts), decisions (rules.ts,
 * plan.ts), looks at event objects (looking.ts), and the delivery, which alone sends.
 *
 * R1. Cheap to be told: a run that nobody wants to see costs a read, one that is known to have changed nothing at all. The
 *     run itself is looked at when its card is drawn, and only then.
 * R2. At most one look at a run is under way. What is told meanwhile is not lost: the run is looked at once more.
 * R3. What is said, and that it was said, are one transaction: told again after a crash, nothing is said twice.
 * R4. Rows are the truth; memory holds those of runs that are not over, and how fresh their cards are.
 */
import {
  channelOf,
  parsePlaceKey,
  placeKey,
  type ChatOrigin,
  type ChatPlace,
} from "../../../contract/chat/place.ts";
import { parseRunId } from "../../../contract/ids.ts";
import { retentionMs } from "../../day-ledger/naming.ts";
import type { ChannelFollows, ChatOutboxStatus, RunNotice, RunNoticeAnswer } from "../calls.ts";
import { within } from "../../kit/deadline.ts";
import { Errand } from "../../kit/errand.ts";
import { logLinkForCard } from "../log-link.ts";
import { outboxName } from "../naming.ts";
import type { Board, BoardOptions } from "./board.ts";
import { ActiveRuns, channelKey, type Active } from "./active-runs.ts";
import { anchorOfThread, runOfAnchor, runRewritten } from "./effects.ts";
import { perform } from "./perform.ts";
import { ListenedThreads } from "./listened-threads.ts";
import { Listener } from "./listener.ts";
import { lookAt, type Looked } from "./looking.ts";
import { firstCursor, planLook } from "./plan.ts";
import { crowdedMessage } from "./posts.ts";
import type { Showing, ShownRun } from "./rows.ts";
import {
  defaultView,
  FOLLOW_MAX_MS,
  FOLLOWED_PER_CHANNEL_MAX,
  isAtRest,
  NOT_FRESH,
  placeIn,
  placesOf,
  tidyAt,
  type NewShowing,
} from "./rules.ts";
import { BoardStorage, type Shown } from "./storage.ts";

/** Looks under way at once. */
const LOOKS_AT_ONCE = 6;
/** A look that takes longer has failed. */
const LOOK_TIMEOUT_MS = 15_000;
/** Runs tidied in one tick. */
const TIDY_AT_ONCE = 50;
/** As many as an autocomplete can show. */
const RUNS_OF_CHANNEL = 25;
const HOUR_MS = 3_600_000;

export class RunBoard implements Board {
  readonly #options: BoardOptions;
  readonly #storage: BoardStorage;
  readonly #active: ActiveRuns;
  readonly #follows: Map<string, ChannelFollows>;
  readonly #listener: Listener | undefined;
  readonly #ticking = new Errand(() => this.#run());

  constructor(options: BoardOptions) {
    this.#options = options;
    this.#storage = new BoardStorage(options.storage);
    this.#follows = this.#storage.readFollows();
    this.#active = new ActiveRuns(options.platform, (place) => this.#viewOf(place));
    for (const shown of this.#storage.readActive()) this.#active.put({ ...shown, fresh: NOT_FRESH });
    this.#listener = this.#newListener();
  }

  /** From an event object: the run has changed, or is new (R1). */
  runChanged(notice: RunNotice): RunNoticeAnswer {
    const { runId, flow, eventType } = notice;
    const known = this.#known(runId);
    if (known?.run.heard === true) {
      this.#noteChange(known);
      return { shown: true };
    }
    const places = this.#withinBounds(placesOf(notice, this.#options.platform, this.#follows));
    if (known === undefined && places.length === 0) return { shown: false };
    this.#show({ ...(known?.run ?? this.#newRun(runId)), flow, eventType, heard: true }, known, places);
    return { shown: true };
  }

  /** Shows a run in a place, besides those that follow its flow. */
  present(runId: string, { place, user }: ChatOrigin): void {
    if (!this.#isOurs(runId, place)) return;
    const known = this.#known(runId);
    const there = (known && this.#showingAt(known, place)) ?? placeIn(place, this.#follows);
    this.#show(known?.run ?? this.#newRun(runId), known, [
      { place: there.place, thread: there.thread, via: "present", user },
    ]);
  }

  /** Somebody watches the run there: its card moves with its output until then (epoch ms). */
  follow(runId: string, place: ChatPlace, until: number): void {
    if (!this.#isOurs(runId, place)) return;
    const now = this.#options.now();
    const known = this.#known(runId);
    const showing = known && this.#showingAt(known, place);
    const there = showing ?? { ...placeIn(place, this.#follows), via: "present" as const };
    const from = showing?.follow !== undefined && showing.follow.until > now ? showing.follow.from : now;
    const follow = { from, until: Math.min(until, now + FOLLOW_MAX_MS) };
    this.#show(known?.run ?? this.#newRun(runId), known, [there], follow);
  }

  /** The run whose thread or topic this is; in a thread of people, the one that was last shown there. */
  runOfThread(place: ChatPlace): string | undefined {
    if (place.thread === undefined) return undefined;
    const anchor = this.#options.delivery.anchorOf(place);
    return (anchor === undefined ? undefined : runOfAnchor(anchor)) ?? this.#storage.newestAt(place);
  }

  /** The newest runs shown in a channel or any of its threads, newest first. */
  runsOfChannel(place: ChatPlace): string[] {
    return this.#storage.runsOfChannel(placeKey(channelOf(place)), RUNS_OF_CHANNEL);
  }

  setFollows(follows: ChannelFollows): void {
    if (follows.place.platform !== this.#options.platform) return;
    const key = placeKey(channelOf(follows.place));
    if (JSON.stringify(this.#follows.get(key)) === JSON.stringify(follows)) return;
    this.#storage.transaction(() => this.#storage.putFollows(follows));
    this.#follows.set(key, follows);
    // From now on it wants to see its runs in another way.
    for (const active of this.#active.inChannel(key)) this.#noteChange(active);
  }

  /** When there is something to look at, or to tidy, epoch ms. A look that is under way is still to be done. */
  due(now: number): number | undefined {
    const dues = [
      this.#active.underWay > 0 ? now : undefined,
      this.#active.due(now),
      this.#storage.nextTidy(),
      this.#listener?.due(now),
    ].filter((due) => due !== undefined);
    return dues.length === 0 ? undefined : Math.min(...dues);
  }

  /**
   * Looks at whatever is due, and tidies what is over; resolves when nothing is due any more. What fails stays due,
   * later. What becomes due meanwhile is taken along, and waits for no look that is under way while there is room.
   */
  tick(): Promise<void> {
    return this.#ticking.call();
  }

  async #run(): Promise<void> {
    const { now } = this.#options;
    this.#tidy(now());
    const underWay = new Set<Promise<void>>();
    const begin = (work: Promise<void>): void => {
      const done = work.finally(() => underWay.delete(done));
      underWay.add(done);
    };
    if (this.#listener !== undefined) begin(this.#listener.tick().catch(noteFailure));
    for (;;) {
      const room = (): number => LOOKS_AT_ONCE - this.#active.underWay;
      for (const active of this.#active.toLookAt(now(), room())) begin(this.#look(active));
      if (underWay.size === 0) return;
      const due = room() > 0 ? this.#active.due(now()) : undefined;
      await this.#ticking.rest(underWay, due === undefined ? undefined : Math.max(due - now(), 0));
    }
  }

  needs(rowKey: string): boolean {
    const runId = runRewritten(rowKey);
    return runId !== undefined && this.#active.get(runId) !== undefined;
  }

  status(): Pick<ChatOutboxStatus, "shownRuns" | "polling"> {
    const threads = this.#listener?.threads(this.#options.now()).length;
    const usually = listensUsually(this.#options.env);
    return {
      shownRuns: this.#active.size,
      ...(threads === undefined ? {} : { polling: { usually, threads } }),
    };
  }

  #newListener(): Listener | undefined {
    const { env, read, access, now, platform, delivery } = this.#options;
    const botId = env.DISCORD_APPLICATION_ID;
    if (platform !== "discord" || read === undefined || access === undefined || botId === undefined)
      return undefined;
    const threads = new ListenedThreads({
      active: this.#active,
      storage: this.#storage,
      delivery,
      viewOf: (place) => this.#viewOf(place),
      usually: listensUsually(env),
    });
    return new Listener({ env, read, access, botId, now, threads, delivery });
  }

  #isOurs(runId: string, { platform }: ChatPlace): boolean {
    return parseRunId(runId) !== undefined && platform === this.#options.platform;
  }

  /** Also one that is over: somebody has something to say of it, or wants to see it again. */
  #known(runId: string): Active | undefined {
    const active = this.#active.get(runId);
    if (active !== undefined) return active;
    const shown = this.#storage.readRun(runId);
    return shown && { ...shown, fresh: NOT_FRESH };
  }

  #newRun(runId: string): ShownRun {
    const seenAt = this.#options.now();
    return { runId, flow: "", eventType: "", seenAt, phase: "unseen", heard: false, changed: true };
  }

  #noteChange(active: Active): void {
    if (!active.run.changed) {
      const run = { ...active.run, changed: true };
      this.#storage.transaction(() => this.#storage.putRun(run, 0));
      active.run = run;
    }
    this.#lookSoon(active);
  }

  /** Adds places to a run, new or known, and has it looked at. */
  #show(run: ShownRun, known: Active | undefined, places: NewShowing[], follow?: Showing["follow"]): void {
    const now = this.#options.now();
    const showings = new Map((known?.showings ?? []).map((showing) => [showing.place, showing]));
    const touched = places.map((place): Showing => {
      const empty: Showing = {
        runId: run.runId,
        shownAt: now,
        opened: false,
        approvals: {},
        final: false,
        ...place,
      };
      const { endIsBelow, ...before } = showings.get(place.place) ?? empty;
      const user = before.user ?? place.user;
      return {
        ...before,
        // Somebody who wants to see the run wants its card, also where an end message has made it needless.
        ...(endIsBelow === true && place.via !== "present" ? { endIsBelow } : {}),
        ...(user === undefined ? {} : { user }),
        ...(follow === undefined ? {} : { follow }),
      };
    });
    for (const showing of touched) showings.set(showing.place, showing);
    // A place that is new has all of the output before it, and its thread stays open for a while.
    const { closed: _closed, outputRead: _read, ...open } = run;
    const changed: ShownRun = { ...(touched.every(({ opened }) => opened) ? run : open), changed: true };
    this.#storage.transaction(() => {
      this.#storage.putRun(changed, 0);
      for (const showing of touched) this.#storage.putShowing(showing);
    });
    const active: Active = known ?? { run: changed, showings: [], fresh: NOT_FRESH };
    active.run = changed;
    active.showings = [...showings.values()];
    this.#lookSoon(active);
  }

  #lookSoon(active: Active): void {
    this.#active.put(active);
    if (active.look !== undefined) active.look.again = true;
    this.#ticking.wake();
    this.#wake(active);
  }

  #wake(active: Active): void {
    const now = this.#options.now();
    const due = this.#active.dueOf(active, now);
    if (due !== undefined) this.#options.wakeBy(Math.max(due, now));
  }

  /** Where very many runs are shown already, a channel's follows do not count; once an hour it is said. */
  #withinBounds(places: NewShowing[]): NewShowing[] {
    return places.filter(({ place, via }) => {
      if (via !== "follows" || this.#active.inChannel(place).length < FOLLOWED_PER_CHANNEL_MAX) return true;
      const parsed = parsePlaceKey(place);
      const hour = Math.floor(this.#options.now() / HOUR_MS);
      if (parsed !== undefined)
        this.#options.delivery.post(`crowded|${place}|${hour}`, parsed, "event", crowdedMessage());
      return false;
    });
  }

  /** The place that shows a run where somebody is: the channel, or a thread of it. */
  #showingAt({ run, showings }: Shown, place: ChatPlace): Showing | undefined {
    const here = showings.find((showing) => showing.place === placeKey(place));
    if (here !== undefined || place.thread === undefined) return here;
    const anchor = this.#options.delivery.anchorOf(place);
    return showings.find((showing) => anchor === anchorOfThread(run.runId, showing.place));
  }

  #viewOf(place: string): ChannelFollows {
    return (
      this.#follows.get(channelKey(place)) ??
      defaultView(parsePlaceKey(place) ?? { platform: this.#options.platform, channel: "0" })
    );
  }

  async #look(active: Active): Promise<void> {
    const { run, showings } = active;
    const look = { again: false };
    active.look = look;
    try {
      const looked = await withTimeout(
        lookAt(this.#options.env, {
          runId: run.runId,
          outbox: outboxName(this.#options.env, this.#options.platform) ?? "",
          after: firstCursor(showings, (place) => this.#viewOf(place), run.flow),
          outputRead: run.outputRead,
        }),
      );
      this.#draw(active, looked, look.again);
    } catch (error) {
      this.#failed(active, error);
    } finally {
      delete active.look;
      if (this.#active.get(run.runId) === active) this.#wake(active);
    }
  }

  /** Commits what follows from a look: rows and what is said, in one transaction (R3). */
  #draw(active: Active, { glance, page }: Looked, again: boolean): void {
    const now = this.#options.now();
    const { run, showings, fresh } = active;
    const { env } = this.#options;
    const plan = planLook({
      run,
      showings,
      glance,
      page,
      viewOf: (place) => this.#viewOf(place),
      due: this.#active.duePlaces(active, now),
      again,
      logUrl: logLinkForCard(env, env.CODEX_FLOW_PUBLIC_URL ?? "", run.runId, now),
      now,
    });
    if (plan === undefined) {
      this.#storage.transaction(() => this.#storage.deleteRun(run.runId));
      this.#active.delete(run.runId);
      return;
    }
    const rest = isAtRest(plan.run);
    const wake = rest ? tidyAt(plan.run, plan.showings, retentionMs(this.#options.env)) : 0;
    const stored = new Set([run, ...showings].map((row) => JSON.stringify(row)));
    this.#storage.transaction(() => {
      for (const effect of plan.effects) perform(this.#options.delivery, effect);
      if (rest || !stored.has(JSON.stringify(plan.run))) this.#storage.putRun(plan.run, wake);
      for (const showing of plan.showings)
        if (!stored.has(JSON.stringify(showing))) this.#storage.putShowing(showing);
    });
    active.run = plan.run;
    active.showings = plan.showings;
    const drawnAt = new Map([...fresh.drawnAt, ...plan.drawn.map((place) => [place, now] as const)]);
    const changedAt = run.changed ? now : fresh.changedAt;
    active.fresh = { lookedAt: now, failures: 0, drawnAt, changedAt };
    if (rest) this.#active.delete(run.runId);
    if (plan.effects.length > 0) this.#options.said();
  }

  #failed(active: Active, error: unknown): void {
    const failures = active.fresh.failures + 1;
    active.fresh = { ...active.fresh, lookedAt: this.#options.now(), failures };
    if (failures > 1) return;
    const { runId } = active.run;
    console.warn(JSON.stringify({ message: "a look at a run failed", runId, error: String(error) }));
  }

  /** Threads of runs that have long been over are closed; later the runs are forgotten. */
  #tidy(now: number): void {
    const kept = retentionMs(this.#options.env);
    for (const { run, showings } of this.#storage.toTidy(now, TIDY_AT_ONCE))
      this.#storage.transaction(() => {
        if (run.closed === true) {
          this.#storage.deleteRun(run.runId);
          return;
        }
        for (const { thread, place } of showings)
          if (thread) this.#options.delivery.closeThread(anchorOfThread(run.runId, place));
        const closed = { ...run, closed: true };
        this.#storage.putRun(closed, tidyAt(closed, showings, kept));
      });
  }
}

function listensUsually({ DISCORD_POLL_MESSAGES: setting }: BoardOptions["env"]): boolean {
  return setting === "on";
}

/** What was not listened to is asked for again at the thread's own pace. */
function noteFailure(error: unknown): void {
  console.warn(JSON.stringify({ message: "a thread could not be listened to", error: String(error) }));
}

async function withTimeout<T>(work: Promise<T>): Promise<T> {
  return within(work, LOOK_TIMEOUT_MS, () => {
    throw new Error(`a look took longer than ${LOOK_TIMEOUT_MS} ms`);
  });
}
