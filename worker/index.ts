/** The Worker: its front door, its queue consumers and its objects. Everything else is imported from here. */
import { consume } from "../queue-consumer/consume.ts";
import { app } from "./app.ts";
import { withoutPathToken } from "./auth/path-token.ts";
import type { Env } from "./env.ts";
import type { QueueMessage } from "../contract/runner-link.ts";

export { ChannelSettings } from "../durable-objects/channel-settings/object.ts";
export { ChatAccess } from "../durable-objects/chat-access/object.ts";
export { ChatOutbox } from "../durable-objects/chat-outbox/object.ts";
export { DayLedger } from "../durable-objects/day-ledger/object.ts";
export { FlowEventObject } from "../durable-objects/flow-event/object.ts";
export { RunnerPool } from "../durable-objects/runner-pool/object.ts";

export default {
  fetch: (request, env, context) => app.fetch(withoutPathToken(request), env, context),
  queue: (batch, env) => consume(batch, env),
} satisfies ExportedHandler<Env, QueueMessage>;
