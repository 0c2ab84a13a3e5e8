/** What the queue gave up: each such run ends where people see it, and can be replayed. */
import { parseRunId } from "../contract/ids.ts";
import type { QueueMessage } from "../contract/runner-link.ts";
import type { Env } from "../worker/env.ts";

const RETRY_SECONDS = 60;

export async function consumeDeadLetters(batch: MessageBatch<QueueMessage>, env: Env): Promise<void> {
  await Promise.all(
    batch.messages.map(async (message) => {
      try {
        await markDead(env, message.body);
        message.ack();
      } catch (error) {
        console.error(
          JSON.stringify({ message: "dead letter not recorded", body: message.body, error: String(error) }),
        );
        message.retry({ delaySeconds: RETRY_SECONDS });
      }
    }),
  );
}

/** A chained event needs no mark: its run shows it as owed, and the outbox sends it again. */
async function markDead(env: Env, body: QueueMessage): Promise<void> {
  const parsed = body.kind === "run" ? parseRunId(body.route.runId) : undefined;
  if (body.kind !== "run" || parsed === undefined) return;
  await env.EVENTS.getByName(parsed.eventKey).deadLetter(parsed.n, body.route.attempt);
}
