/**
 * From the queue to the pools: one call a pool and batch. A message is acknowledged when its pool has stored the run;
 * what a pool refuses (its backlog is full) or fails to take comes again later, and in the end to the dead letters.
 */
import { FlowError } from "../contract/errors.ts";
import { normalizeEvent, type FlowEvent, type Lineage } from "../contract/flow-event.ts";
import { eventKey, parseRunId } from "../contract/ids.ts";
import { CHAIN_MAX_PER_ROOT } from "../contract/limits.ts";
import type { ChainedOutcome } from "../contract/run-lifecycle.ts";
import { iso } from "../contract/run-view.ts";
import type { QueueMessage, RunRoute } from "../contract/runner-link.ts";
import { checkSentEvent } from "../contract/validate.ts";
import { dispatchEvent } from "../worker/dispatch.ts";
import type { Env } from "../worker/env.ts";

const RETRY_MAX_SECONDS = 120;

type RunMessage = Message<QueueMessage> & { body: Extract<QueueMessage, { kind: "run" }> };
type ChainedMessage = Message<QueueMessage> & { body: Extract<QueueMessage, { kind: "chained" }> };

export async function consumeRuns(batch: MessageBatch<QueueMessage>, env: Env): Promise<void> {
  const byPool = new Map<string, RunMessage[]>();
  const chained: ChainedMessage[] = [];
  for (const message of batch.messages) {
    if (isChained(message)) chained.push(message);
    else if (isRun(message))
      byPool.set(message.body.route.pool, [...(byPool.get(message.body.route.pool) ?? []), message]);
  }
  await Promise.all([
    ...[...byPool].map(([pool, messages]) => enqueue(env, pool, messages)),
    ...chained.map((message) => sendChained(env, message)),
  ]);
}

function isRun(message: Message<QueueMessage>): message is RunMessage {
  return message.body.kind === "run";
}
function isChained(message: Message<QueueMessage>): message is ChainedMessage {
  return message.body.kind === "chained";
}

async function enqueue(env: Env, pool: string, messages: RunMessage[]): Promise<void> {
  const routes: RunRoute[] = messages.map((message) => message.body.route);
  try {
    const { refused } = await env.POOLS.getByName(pool).enqueue(routes);
    for (const message of messages) {
      if (refused.includes(message.body.route.runId)) retryLater(message);
      else message.ack();
    }
  } catch (error) {
    console.warn(
      JSON.stringify({
        message: "pool did not take a batch",
        pool,
        runs: messages.length,
        error: String(error),
      }),
    );
    for (const message of messages) retryLater(message);
  }
}

/** An event that a result asks for takes the road of any other: matched here, stored by its own object. */
async function sendChained(env: Env, message: ChainedMessage): Promise<void> {
  const { runId, index } = message.body;
  const parsed = parseRunId(runId);
  if (parsed === undefined) {
    message.ack();
    return;
  }
  try {
    const parent = env.EVENTS.getByName(parsed.eventKey);
    const due = await parent.chainedEvent(parsed.n, index);
    const checked = due === undefined ? undefined : checkSentEvent(due.event);
    if (due !== undefined && checked?.ok === true) {
      const event = normalizeEvent(checked.value, iso(Date.now()));
      const { rootId } = due.lineage;
      const root = env.EVENTS.getByName(await eventKey(rootId));
      const outcome = (await root.reserveChained(runId, index))
        ? await outcomeOf(env, event, due.lineage)
        : tooManyBelow(rootId);
      await parent.chainedOver(parsed.n, index, outcome);
    }
    message.ack();
  } catch (error) {
    console.warn(JSON.stringify({ message: "chained event not sent", runId, index, error: String(error) }));
    retryLater(message);
  }
}

/** Depth and width alone would let one event start 32^8 others. */
function tooManyBelow(rootId: string): ChainedOutcome {
  const reason = `${CHAIN_MAX_PER_ROOT} chained events have followed from event ${rootId} already, which is the limit; this one was not sent`;
  return { state: "refused", reason };
}

/** An error that no later attempt can get over ends this chained event, and its run shows why. */
async function outcomeOf(env: Env, event: FlowEvent, lineage: Lineage): Promise<ChainedOutcome> {
  try {
    const { runs } = await dispatchEvent(env, event, { lineage, origin: "next" });
    return { state: "sent", runIds: runs.map((run) => run.id) };
  } catch (error) {
    if (error instanceof FlowError && !error.retryable) return { state: "refused", reason: error.message };
    throw error;
  }
}

function retryLater(message: Message<QueueMessage>): void {
  message.retry({ delaySeconds: Math.min(2 ** message.attempts, RETRY_MAX_SECONDS) });
}
