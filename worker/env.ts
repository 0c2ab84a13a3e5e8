/** What the Worker is given: bindings, settings and secrets, as wrangler.toml names them. */
import type { ChatAccess } from "../durable-objects/chat-access/object.ts";
import type { ChatOutbox } from "../durable-objects/chat-outbox/object.ts";
import type { DayLedger } from "../durable-objects/day-ledger/object.ts";
import type { ObjectNamespace } from "../durable-objects/kit/remote.ts";
import type { FlowEventObject } from "../durable-objects/flow-event/object.ts";
import type { RunnerPool } from "../durable-objects/runner-pool/object.ts";
import type { QueueMessage } from "../contract/runner-link.ts";

export interface Env {
  EVENTS: ObjectNamespace<FlowEventObject>;
  POOLS: ObjectNamespace<RunnerPool>;
  LEDGERS: ObjectNamespace<DayLedger>;
  CHAT_OUTBOXES: ObjectNamespace<ChatOutbox>;
  CHAT_ACCESS: ObjectNamespace<ChatAccess>;
  /** Reached through durable-objects/channel-settings/client.ts alone. */
  CHANNEL_SETTINGS: DurableObjectNamespace;
  RUN_QUEUE: Queue<QueueMessage>;
  DEAD_QUEUE: Queue<QueueMessage>;

  /** Days that events, runs and output are kept. */
  RETENTION_DAYS?: string;
  /** Ledgers a day; more of them spread very many events a second. */
  LEDGER_SHARDS?: string;

  /** Bearer tokens by what they may do; each a list separated by commas (contract/secret-list.ts). */
  ADMIN_TOKENS?: string;
  READ_TOKENS?: string;
  WRITE_TOKENS?: string;
  RUNNER_TOKENS?: string;
  EVENT_TOKENS?: string;
  /** Tokens of `/t/<token>/…`, which stand in addresses and so are known to more people; a list. */
  PATH_TOKENS?: string;
  /** Secrets of `x-flow-signature-256`; a list. */
  EVENT_SECRETS?: string;
  /** Secrets of Standard Webhooks senders (`whsec_…`); a list. */
  WEBHOOK_SECRETS?: string;

  /** Where people reach this edge, `https://…`: what links in chats begin with; without it there are none. */
  CODEX_FLOW_PUBLIC_URL?: string;
  /** The Discord application: its id, its public key (hex), its bot's token. */
  DISCORD_APPLICATION_ID?: string;
  DISCORD_PUBLIC_KEY?: string;
  DISCORD_BOT_TOKEN?: string;
  /** `on`: messages in threads of runs that mention the bot are picked up by asking for them; a channel says otherwise by /channel set listen. */
  DISCORD_POLL_MESSAGES?: string;
  /** Where Discord's REST interface is, up to and with its version; only tests change it. */
  DISCORD_API_URL?: string;
  TELEGRAM_BOT_TOKEN?: string;
  /** Secrets of the webhook's header; a list. */
  TELEGRAM_WEBHOOK_SECRETS?: string;
  /** User ids that have every scope, as administrators of a Discord server have; a list. */
  TELEGRAM_ADMINS?: string;
  /** Where Telegram's Bot API is; only tests change it. */
  TELEGRAM_API_URL?: string;
}
