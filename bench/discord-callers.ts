/**
 * Fifty callers in a thread of their own: what the fake Discord does meanwhile, in the main one, is not in their times. Takes a
 * signed request a message, and answers with what came back.
 */
import { once } from "node:events";
import { parentPort, Worker } from "node:worker_threads";
import { sendSigned, type Heard } from "../test/support/fake-discord/interactions.ts";
import type { Signed } from "../test/support/fake-discord/signer.ts";

/** As long as Discord. */
const ANSWER_MS = 3_000;

interface Order {
  n: number;
  url: string;
  signed: Signed;
}

export class Callers {
  readonly #thread = new Worker(new URL(import.meta.url));
  readonly #waiting = new Map<number, (heard: Heard) => void>();
  #count = 0;

  static async start(): Promise<Callers> {
    const callers = new Callers();
    await once(callers.#thread, "online");
    callers.#thread.on("message", ({ n, heard }: { n: number; heard: Heard }) => {
      callers.#waiting.get(n)?.(heard);
      callers.#waiting.delete(n);
    });
    return callers;
  }

  send = (url: string, signed: Signed): Promise<Heard> => {
    const n = (this.#count += 1);
    return new Promise((resolve) => {
      this.#waiting.set(n, resolve);
      this.#thread.postMessage({ n, url, signed } satisfies Order);
    });
  };

  async stop(): Promise<void> {
    await this.#thread.terminate();
  }
}

parentPort?.on("message", ({ n, url, signed }: Order) => {
  void sendSigned(url, signed, ANSWER_MS).then((heard) => parentPort?.postMessage({ n, heard }));
});
