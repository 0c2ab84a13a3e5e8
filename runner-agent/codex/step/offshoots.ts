/**
 * What Codex does for a step beside the turns that the step has asked for: turns of sub-agents in threads of their own,
 * and turns that begin by themselves since the agent has set itself a goal. The home's configuration has both off
 * (home.ts, H2). Where the box's owner has them on, or the app-server is somebody else's, they go on when the step's own
 * turn is over, and when it is interrupted, too: so they are followed here, and ended with the step.
 *
 * Each turn tells the turn at its root. No sub-agent's thread is told of by itself.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { ServerNotification } from "../protocol.ts";
import type { ClosingRequest } from "./thread-session.ts";

/**
 * For how long nothing may have begun: a goal's next turn is decided on before it is told of, and neither the goal's end
 * nor the state of its thread says so meanwhile. It takes 20 ms.
 */
const SETTLE_MS = 400;
const LOOK_AGAIN_MS = 20;
/** In all. */
const END_MAX_MS = 10_000;

export class Offshoots {
  readonly #threadId: string;
  /** Turns of the step's own thread. */
  readonly #roots = new Set<string>();
  /** The turns that go on, with their threads. */
  readonly #active = new Map<string, string>();
  readonly #threads = new Set<string>();
  readonly #goals = new Set<string>();

  constructor(threadId: string) {
    this.#threadId = threadId;
  }

  /** Every notification of the server, whatever thread it is about. */
  heard({ method, params }: ServerNotification): void {
    if (method === "turn/started") {
      const { threadId, turn } = params;
      if (threadId === this.#threadId) this.#roots.add(turn.id);
      else if (!this.#roots.has(turn.rootTurnId ?? "")) return;
      else this.#threads.add(threadId);
      this.#active.set(turn.id, threadId);
    } else if (method === "turn/completed") this.#active.delete(params.turn.id);
    else if (method === "thread/goal/updated" && this.#isOurs(params.threadId))
      this.#goals.add(params.threadId);
  }

  /** There were some, or may still be. */
  get any(): boolean {
    return this.#threads.size > 0 || this.#goals.size > 0;
  }

  /** Threads of sub-agents. */
  get threads(): string[] {
    return [...this.#threads];
  }

  /** Interrupts all that goes on, the step's own thread included, and sees to it that nothing begins anew. Never rejects. */
  async end(request: ClosingRequest): Promise<void> {
    const due = performance.now() + END_MAX_MS;
    let quietSince = performance.now();
    for (;;) {
      for (const threadId of this.#goals) await request("thread/goal/clear", { threadId });
      for (const [turnId, threadId] of [...this.#active]) {
        await request("turn/interrupt", { threadId, turnId });
        this.#active.delete(turnId);
        quietSince = performance.now();
      }
      const now = performance.now();
      if (!this.any || now - quietSince >= SETTLE_MS || now >= due) break;
      await sleep(LOOK_AGAIN_MS);
    }
    for (const threadId of this.#threads) await request("thread/backgroundTerminals/clean", { threadId });
    for (const threadId of this.#threads) await request("thread/unsubscribe", { threadId });
  }

  #isOurs(threadId: string): boolean {
    return threadId === this.#threadId || this.#threads.has(threadId);
  }
}
