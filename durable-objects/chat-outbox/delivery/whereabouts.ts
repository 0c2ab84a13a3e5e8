/** What is known of places besides the rows of messages: threads, which channels are forums, which chats have moved, to which guild a channel belongs. */
import type { ThreadRow } from "./records.ts";
import type { DeliveryRows, Waiting } from "./rows.ts";

export class Whereabouts {
  readonly #rows: DeliveryRows;
  readonly #threads = new Map<string, ThreadRow>();
  readonly #forums = new Set<string>();
  readonly #guilds = new Map<string, string>();
  readonly #moves = new Map<string, string>();

  constructor(rows: DeliveryRows) {
    this.#rows = rows;
    for (const [scope, value] of rows.barriers()) {
      if (scope.startsWith("forum:")) this.#forums.add(scope.slice("forum:".length));
      if (scope.startsWith("guild:")) this.#guilds.set(scope.slice("guild:".length), String(value));
      if (scope.startsWith("moved:")) this.#moves.set(scope.slice("moved:".length), String(value));
    }
  }

  /** What waits; and what is remembered of threads is as it is stored. Not inside a transaction of others. */
  refresh(): Waiting {
    const waiting = this.#rows.refresh();
    for (const anchor of waiting.changedThreads) this.#threads.delete(anchor);
    return waiting;
  }

  thread(anchor: string): ThreadRow | undefined {
    const known = this.#threads.get(anchor) ?? this.#rows.thread(anchor);
    if (known !== undefined) this.#threads.set(anchor, known);
    return known;
  }

  forum(channel: string): boolean {
    return this.#forums.has(channel);
  }

  noteForum(channel: string): void {
    this.#forums.add(channel);
    this.#rows.putBarrier(`forum:${channel}`, true);
  }

  guildOf(channel: string): string | undefined {
    return this.#guilds.get(channel);
  }

  /** Told by an answer to something else: it is only needed for links. */
  noteGuild(channel: string, guild: string): void {
    if (this.#guilds.get(channel) === guild) return;
    this.#guilds.set(channel, guild);
    this.#rows.putBarrier(`guild:${channel}`, guild);
  }

  movedTo(channel: string): string {
    return this.#moves.get(channel) ?? channel;
  }

  /** A group became a supergroup, and has another id. Its old messages stay with the old one. */
  noteMoved(from: string, to: string): void {
    this.#moves.set(from, to);
    this.#rows.putBarrier(`moved:${from}`, to);
  }
}
