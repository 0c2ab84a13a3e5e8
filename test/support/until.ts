/** Waiting for what must become true, for stories about other processes. */
import { setTimeout as sleep } from "node:timers/promises";

const LOOK_AGAIN_MS = 50;

/** Resolves with the first answer that is not undefined. The test's own time limit bounds it. */
export async function until<T>(look: () => Promise<T | undefined> | T | undefined): Promise<T> {
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    await sleep(LOOK_AGAIN_MS);
  }
}
