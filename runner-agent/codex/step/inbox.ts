/**
 * What people say to a codex step, from its arrival to the turn that takes it. A message goes into the active turn if
 * that still looks for more; one that Codex accepted and the turn never showed has come behind its last look, and begins
 * the next turn with all others that no turn has taken.
 *
 * I1. What became of a message is told when it is so: `steered` when a turn has shown it, `queued` when a turn has begun
 *     with it. Of one that the step ends without, nothing is told: at the edge it waits, as it does, for the next attempt.
 * I2. Nothing is both: a message that the active turn shows is in no later one.
 */
import type { MessageFate } from "../../../contract/messages.ts";
import type { Message } from "../../conversation.ts";

/** Between messages that begin one turn together. */
const BORDER = "\n\n";

interface Waiting {
  message: Message;
  fate: PromiseWithResolvers<MessageFate>;
}

/** The text of a turn, of messages that no turn has taken. */
export interface NextTurn {
  text: string;
  /** To be called when Codex has the turn. */
  begun(): void;
}

export class Inbox {
  readonly #steer: (message: Message) => Promise<boolean>;
  /** In no turn yet, as far as is known; in the order of their arrival. */
  #waiting: Waiting[] = [];
  /** Codex has not answered whether its turn takes them. */
  readonly #asking = new Set<Promise<void>>();

  /** @param steer puts a message into the active turn; false when none takes it. Must not reject */
  constructor(steer: (message: Message) => Promise<boolean>) {
    this.#steer = steer;
  }

  /** Settles when its fate is known, and never for one that the step ends without (I1). */
  hear(message: Message): Promise<MessageFate> {
    const waiting = { message, fate: Promise.withResolvers<MessageFate>() };
    this.#waiting.push(waiting);
    // Whatever Codex answers, the turn shows whether it has taken it.
    const asking = this.#steer(message).then(() => {
      this.#asking.delete(asking);
    });
    this.#asking.add(asking);
    return waiting.fate.promise;
  }

  /** The active turn has shown a message of people, by its id. */
  shown(id: string): void {
    const shown = this.#waiting.find(({ message }) => message.id === id);
    if (shown === undefined) return;
    this.#waiting = this.#waiting.filter((waiting) => waiting !== shown);
    shown.fate.resolve("steered");
  }

  /** No turn is active: what the next one begins with, if anybody has said something that none has taken. */
  async next(): Promise<NextTurn | undefined> {
    while (this.#asking.size > 0) await Promise.all(this.#asking);
    const taken = this.#waiting.splice(0);
    if (taken.length === 0) return undefined;
    return {
      text: taken.map(({ message }) => message.text).join(BORDER),
      begun: () => {
        for (const { fate } of taken) fate.resolve("queued");
      },
    };
  }
}
