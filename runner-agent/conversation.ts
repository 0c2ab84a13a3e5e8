/**
 * The runner's side of what passes between a running step and the people who watch it: approvals, messages, the
 * budget, and the leave to write to an agent's thread. One an attempt.
 *
 * The edge may say a thing twice, on every new socket: a decision or a message counts the first time (by its id). What
 * the step asks for is journaled like output, so that it is asked for however often the socket drops; the question for
 * a thread is not, and is put again on each new socket until it is answered. What the step has used of its budget is said
 * again on each one.
 */
import type { ApprovalDecision, ApprovalRequest } from "../contract/approvals.ts";
import type { Budget, BudgetUse } from "../contract/budget.ts";
import type { MessageFate } from "../contract/messages.ts";
import type { RunDown, RunUp } from "../contract/runner-link.ts";

/** Frames of the edge that concern a conversation. */
export type ConversationFrame = Extract<RunDown, { type: "decided" | "message" | "budget" | "thread" }>;

export interface Decision {
  decision: ApprovalDecision;
  by: string;
}

export interface ThreadLease {
  granted: boolean;
  /** The run that writes to the thread instead. */
  heldBy?: string | undefined;
}

export interface Message {
  id: string;
  text: string;
  by: string;
}

/** What a step did with a message. `hidden`: it took it as an answer that must not be shown, such as a password. */
export type HeardAs = MessageFate | "hidden";

/** What a step may use of it. */
export interface StepConversation {
  /** The decision, once there is one; `cancel` when `withdrawn` is aborted before. Never rejects. */
  ask(request: ApprovalRequest, withdrawn: AbortSignal): Promise<Decision>;
  /** May this step write to the thread? Waits for the edge, however long that is away. */
  leaseThread(threadId: string): Promise<ThreadLease>;
  /** Hears each message once, those that came before too. One listener; what it returns is told to the edge. */
  onMessage(listener: (message: Message) => Promise<HeardAs>): void;
  /** Hears of limits that were raised. */
  onBudget(listener: (budget: Budget) => void): void;
  /** The attempt has used so much by itself so far: for the one after it, should this one be lost. */
  tellUse(used: BudgetUse): void;
}

export interface ConversationHost {
  journalApproval(request: ApprovalRequest): void;
  journalWithdrawal(id: string): void;
  /** Sends a frame on the socket that is open; without one it is lost. */
  tell(frame: Extract<RunUp, { type: "delivered" | "thread" | "used" }>): void;
}

const WITHDRAWN: Decision = { decision: "cancel", by: "the step" };

export class Conversation implements StepConversation {
  readonly #host: ConversationHost;
  /** Approvals without a decision, by id. */
  readonly #asked = new Map<string, (decision: Decision) => void>();
  /** Threads that the edge has not answered for. */
  readonly #leases = new Map<string, PromiseWithResolvers<ThreadLease>>();
  /** What became of each message; undefined while the step has not said. */
  readonly #messages = new Map<string, HeardAs | undefined>();
  #early: Message[] = [];
  #messageListener: ((message: Message) => Promise<HeardAs>) | undefined;
  #budgetListener: ((budget: Budget) => void) | undefined;
  #budget: Budget | undefined;
  #used: BudgetUse | undefined;

  constructor(host: ConversationHost) {
    this.#host = host;
  }

  async ask(request: ApprovalRequest, withdrawn: AbortSignal): Promise<Decision> {
    if (withdrawn.aborted) return WITHDRAWN;
    const { promise, resolve } = Promise.withResolvers<Decision>();
    this.#asked.set(request.id, resolve);
    this.#host.journalApproval(request);
    const withdraw = (): void => {
      if (!this.#asked.delete(request.id)) return;
      this.#host.journalWithdrawal(request.id);
      resolve(WITHDRAWN);
    };
    withdrawn.addEventListener("abort", withdraw, { once: true });
    const decision = await promise;
    withdrawn.removeEventListener("abort", withdraw);
    return decision;
  }

  async leaseThread(threadId: string): Promise<ThreadLease> {
    const asked = this.#leases.get(threadId);
    if (asked !== undefined) return asked.promise;
    const lease = Promise.withResolvers<ThreadLease>();
    this.#leases.set(threadId, lease);
    this.#host.tell({ type: "thread", threadId });
    return lease.promise;
  }

  onMessage(listener: (message: Message) => Promise<HeardAs>): void {
    this.#messageListener = listener;
    const early = this.#early;
    this.#early = [];
    for (const message of early) void this.#hand(message, listener);
  }

  onBudget(listener: (budget: Budget) => void): void {
    this.#budgetListener = listener;
    if (this.#budget !== undefined) listener(this.#budget);
  }

  tellUse(used: BudgetUse): void {
    this.#used = used;
    this.#host.tell({ type: "used", used });
  }

  /** A new socket speaks for the attempt. */
  connected(): void {
    if (this.#used !== undefined) this.#host.tell({ type: "used", used: this.#used });
    for (const threadId of this.#leases.keys()) this.#host.tell({ type: "thread", threadId });
  }

  heard(frame: ConversationFrame): void {
    switch (frame.type) {
      case "decided": {
        const decide = this.#asked.get(frame.id);
        this.#asked.delete(frame.id);
        decide?.({ decision: frame.decision, by: frame.by });
        return;
      }
      case "thread": {
        const lease = this.#leases.get(frame.threadId);
        this.#leases.delete(frame.threadId);
        lease?.resolve({ granted: frame.granted, heldBy: frame.heldBy });
        return;
      }
      case "budget":
        this.#budget = frame.budget;
        this.#budgetListener?.(frame.budget);
        return;
      case "message":
        this.#said({ id: frame.id, text: frame.text, by: frame.by });
    }
  }

  #said(message: Message): void {
    if (this.#messages.has(message.id)) {
      this.#tellFate(message.id);
      return;
    }
    this.#messages.set(message.id, undefined);
    if (this.#messageListener === undefined) this.#early.push(message);
    else void this.#hand(message, this.#messageListener);
  }

  async #hand(message: Message, listener: (message: Message) => Promise<HeardAs>): Promise<void> {
    this.#messages.set(message.id, await listener(message));
    this.#tellFate(message.id);
  }

  #tellFate(id: string): void {
    const fate = this.#messages.get(id);
    if (fate === "hidden") this.#host.tell({ type: "delivered", id, fate: "steered", hidden: true });
    else if (fate !== undefined) this.#host.tell({ type: "delivered", id, fate });
  }
}
