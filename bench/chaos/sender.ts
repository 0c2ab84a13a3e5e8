/** A product that sends events: each until the edge has answered, however often that takes, as an at-least-once sender does. */
import { setTimeout as sleep } from "node:timers/promises";
import { EdgeAnswerError, type EdgeClient } from "../../client/http.ts";
import type { Answer } from "./audit.ts";
import type { PlannedEvent } from "./plan.ts";

const TRY_AGAIN_MS = 200;

/** All sendings of one event: its copies at once, and the one that follows. Rejects when the edge refuses the event. */
export async function sendEvent(client: () => EdgeClient, event: PlannedEvent): Promise<Answer[]> {
  const { atMs, copies, againAfterMs } = event;
  await sleep(atMs);
  const answers = await Promise.all(Array.from({ length: copies }, () => sendOnce(client, event)));
  if (againAfterMs === undefined) return answers;
  await sleep(againAfterMs);
  return [...answers, await sendOnce(client, event)];
}

async function sendOnce(client: () => EdgeClient, { id, kind, payload }: PlannedEvent): Promise<Answer> {
  for (;;) {
    try {
      const { status, runIds } = await client().dispatch({ id, type: `chaos.${kind}`, payload });
      return { status, runIds };
    } catch (error) {
      if (error instanceof EdgeAnswerError && !error.retryable) throw error;
      await sleep(TRY_AGAIN_MS);
    }
  }
}
