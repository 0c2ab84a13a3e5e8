/** Which consumer takes a batch: the queue of work, or what it gave up. */
import type { QueueMessage } from "../contract/runner-link.ts";
import type { Env } from "../worker/env.ts";
import { consumeDeadLetters } from "./dead-letters.ts";
import { consumeRuns } from "./runs.ts";

const DEAD_LETTER_SUFFIX = "-dead";

export async function consume(batch: MessageBatch<QueueMessage>, env: Env): Promise<void> {
  if (batch.queue.endsWith(DEAD_LETTER_SUFFIX)) await consumeDeadLetters(batch, env);
  else await consumeRuns(batch, env);
}
