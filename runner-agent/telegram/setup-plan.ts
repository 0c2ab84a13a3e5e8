/**
 * What has to change at Telegram so that a bot speaks to an edge: a function of what is there and of what is wanted. The
 * secret of the webhook is never shown by Telegram, so it is set again with every set-up; that changes nothing else.
 */
import {
  TELEGRAM_BOT_QUERY,
  TELEGRAM_UPDATES,
  TELEGRAM_WEBHOOK_PATH,
  telegramMenu,
} from "../../contract/chat/telegram-commands.ts";

/** Answer of getMe, as far as it matters. */
export interface BotUser {
  id: number;
  username?: string;
  /** True: privacy mode is off. */
  can_read_all_group_messages?: boolean;
}

/** Answer of getWebhookInfo. */
export interface WebhookInfo {
  url: string;
  pending_update_count: number;
  max_connections?: number;
  allowed_updates?: string[];
  last_error_date?: number;
  last_error_message?: string;
}

export interface MenuEntry {
  command: string;
  description: string;
}

/** One difference. `before` undefined: it is new; `after` undefined: it goes. */
export interface Change {
  what: string;
  before?: string;
  after?: string;
}

export interface SetupPlan {
  /** What setWebhook is given, but for the secret. */
  webhook: { url: string; max_connections: number; allowed_updates: string[] };
  commands: MenuEntry[];
  webhookChanges: Change[];
  commandChanges: Change[];
}

/** Deliveries at a time: an edge has no reason to be spared, and one chat's updates come in their order anyway. */
const MAX_CONNECTIONS = 40;

/** Where Telegram is to send the updates of a bot. */
export function webhookUrl(edgeUrl: string, botName: string | undefined): string {
  const url = `${edgeUrl.replace(/\/+$/, "")}${TELEGRAM_WEBHOOK_PATH}`;
  return botName === undefined ? url : `${url}?${TELEGRAM_BOT_QUERY}=${encodeURIComponent(botName)}`;
}

export function setupPlan(edgeUrl: string, bot: BotUser, info: WebhookInfo, menu: MenuEntry[]): SetupPlan {
  const webhook = {
    url: webhookUrl(edgeUrl, bot.username),
    max_connections: MAX_CONNECTIONS,
    allowed_updates: [...TELEGRAM_UPDATES],
  };
  const commands = telegramMenu();
  return {
    webhook,
    commands,
    webhookChanges: changesOf(
      [
        ["webhook", info.url],
        ["updates", updatesOf(info.allowed_updates)],
        ["connections", info.max_connections],
      ],
      [
        ["webhook", webhook.url],
        ["updates", updatesOf(webhook.allowed_updates)],
        ["connections", webhook.max_connections],
      ],
    ),
    commandChanges: changesOf(
      menu.map(({ command, description }) => [`/${command}`, description]),
      commands.map(({ command, description }) => [`/${command}`, description]),
    ),
  };
}

function updatesOf(kinds: string[] | undefined): string | undefined {
  return kinds === undefined || kinds.length === 0 ? undefined : [...kinds].sort().join(", ");
}

type Pairs = (readonly [what: string, value: string | number | undefined])[];

function changesOf(before: Pairs, after: Pairs): Change[] {
  const was = new Map(before);
  const will = new Map(after);
  return [...new Set([...was.keys(), ...will.keys()])].flatMap((what) => {
    const [old, wanted] = [was.get(what), will.get(what)];
    if (old === wanted) return [];
    return { what, ...shown("before", old), ...shown("after", wanted) };
  });
}

function shown<Name extends string>(
  name: Name,
  value: string | number | undefined,
): Partial<Record<Name, string>> {
  return value === undefined || value === "" ? {} : ({ [name]: String(value) } as Record<Name, string>);
}
