/**
 * Makes few items of many deltas, so that a hundred tokens are not a hundred frames. Owns the timer.
 *
 * The order stays: an item that is no delta lets out what is held first, so a completed item never comes before a
 * delta of its own. Nothing is lost: whoever is done with it calls `flush`.
 */
import type { AgentItem, AgentItemDelta } from "../../contract/agent-item.ts";

/** Deltas within this time of the first one are one: a pace for eyes. */
const GATHER_MS = 250;
/** Held text of all items together is let out at this length. */
const HELD_MAX_CHARS = 4_096;

export class ItemCoalescer {
  readonly #deliver: (item: AgentItem) => void;
  readonly #gatherMs: number;
  /** By kind and id, in the order in which they began. */
  readonly #held = new Map<string, AgentItemDelta>();
  #heldChars = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(deliver: (item: AgentItem) => void, gatherMs = GATHER_MS) {
    this.#deliver = deliver;
    this.#gatherMs = gatherMs;
  }

  add(item: AgentItem): void {
    if (item.state !== "delta") {
      this.flush();
      this.#deliver(item);
      return;
    }
    // Before it is added: one piece alone has its bound already.
    if (this.#heldChars + item.text.length > HELD_MAX_CHARS) this.flush();
    const key = `${item.type} ${item.id}`;
    const held = this.#held.get(key);
    this.#held.set(key, held === undefined ? item : { ...held, text: held.text + item.text });
    this.#heldChars += item.text.length;
    this.#timer ??= setTimeout(() => {
      this.flush();
    }, this.#gatherMs);
  }

  /** Lets out what is held, now. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const held = [...this.#held.values()];
    this.#held.clear();
    this.#heldChars = 0;
    for (const item of held) this.#deliver(item);
  }
}
