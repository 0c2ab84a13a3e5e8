/** Threads of active runs whose channel, or the deployment, wants them listened to; and how far each has been read. */
import type { ChatPlace } from "../../../contract/chat/place.ts";
import type { ChannelFollows } from "../calls.ts";
import type { Delivery } from "../delivery/delivery.ts";
import type { ActiveRuns } from "./active-runs.ts";
import { anchorOfThread } from "./effects.ts";
import type { BoardStorage } from "./storage.ts";

/** A thread of a run that is not over. */
export interface ListenedThread {
  runId: string;
  /** Key of the place that shows the run. */
  showing: string;
  place: ChatPlace & { thread: string };
  /** The last message that was read. */
  after: string | undefined;
  /** When something last happened in it, epoch ms. */
  activeAt: number;
}

export interface ListenedThreadsOptions {
  active: ActiveRuns;
  storage: BoardStorage;
  delivery: Delivery;
  viewOf: (place: string) => ChannelFollows;
  /** Of channels that say nothing of it. */
  usually: boolean;
}

export class ListenedThreads {
  readonly #options: ListenedThreadsOptions;
  /** Where threads are, by anchor, once that is known. */
  readonly #places = new Map<string, ListenedThread["place"]>();

  constructor(options: ListenedThreadsOptions) {
    this.#options = options;
  }

  all(): ListenedThread[] {
    const { active, viewOf, usually } = this.#options;
    const found = active.all().flatMap(({ run, showings, fresh }) =>
      showings.flatMap(({ place: showing, thread, heard, shownAt }) => {
        if (!thread || !(viewOf(showing).listen ?? usually)) return [];
        const place = this.#placeOf(anchorOfThread(run.runId, showing));
        const activeAt = Math.max(shownAt, heard?.at ?? 0, fresh.changedAt);
        return place === undefined ? [] : [{ runId: run.runId, showing, place, after: heard?.id, activeAt }];
      }),
    );
    if (found.length === 0) this.#places.clear();
    return found;
  }

  /** Notes how far a thread has been read. @param spokenAt when somebody said something there, epoch ms */
  read({ runId, showing }: ListenedThread, upTo: string, spokenAt: number | undefined): void {
    const { active, storage } = this.#options;
    const run = active.get(runId);
    const before = run?.showings.find(({ place }) => place === showing);
    if (run === undefined || before === undefined) return;
    const heard = { ...before, heard: { id: upTo, at: spokenAt ?? before.heard?.at ?? 0 } };
    storage.transaction(() => storage.putShowing(heard));
    run.showings = run.showings.map((one) => (one === before ? heard : one));
  }

  #placeOf(anchor: string): ListenedThread["place"] | undefined {
    const known = this.#places.get(anchor);
    if (known !== undefined) return known;
    const place = this.#options.delivery.placeOf(anchor);
    if (place?.thread === undefined) return undefined;
    const found = { ...place, thread: place.thread };
    this.#places.set(anchor, found);
    return found;
  }
}
