/**
 * The commands of the Telegram bot, from one source: what `codex-flow telegram setup` registers, what `/help` says and
 * what the edge understands are this table. Telegram knows no arguments of a command; `usage` tells people of them.
 *
 * A name has 1 to 32 of a-z, 0-9 and _, a description 1 to 256 characters, and there are at most 100 of them (Bot API,
 * setMyCommands).
 */

export interface TelegramCommand {
  name: string;
  /** What stands behind it, for people. */
  usage: string;
  description: string;
}

export const TELEGRAM_COMMANDS = [
  {
    name: "ask",
    usage: "[project=…] [workdir=…] [session=auto|new|reuse] <prompt>",
    description: "Start a Codex run with a prompt",
  },
  { name: "say", usage: "[run] <text>", description: "Say something to a run" },
  { name: "steer", usage: "[run] <text>", description: "Say something to a run's present turn" },
  { name: "stop", usage: "[run]", description: "Stop a Codex run" },
  { name: "approve", usage: "[run] [approval]", description: "Allow what a run asks for" },
  { name: "deny", usage: "[run] [approval]", description: "Decline what a run asks for" },
  { name: "budget", usage: "[run] tokens=… seconds=… usd=…", description: "Add to a run's budget" },
  { name: "dispatch", usage: "<type> [payload as JSON]", description: "Send an event" },
  { name: "dryrun", usage: "<type> [payload as JSON]", description: "What an event would start" },
  { name: "events", usage: "[type]", description: "The newest events" },
  { name: "runs", usage: "[status]", description: "The newest runs" },
  { name: "show", usage: "[run]", description: "How a run stands" },
  { name: "logs", usage: "[run]", description: "The end of a run's output" },
  { name: "cancel", usage: "[run]", description: "Cancel a run" },
  { name: "replay", usage: "[run or event]", description: "Run it again" },
  { name: "runners", usage: "", description: "Who works, and why runs wait" },
  { name: "status", usage: "", description: "The edge at a glance" },
  {
    name: "codeflow",
    usage: "[on | off | status]",
    description: "Whether relayed sessions may be shown here",
  },
  {
    name: "bind",
    usage: "[flows <names>] [types <types>] | off",
    description: "Use the bot here, and show runs of flows",
  },
  {
    name: "settings",
    usage: "[topics=on|off] [output=…] [safe=on|off] [prompts=on|off] [project=…] …",
    description: "Settings of this chat",
  },
  { name: "roles", usage: "[user id] [scopes | none | deny]", description: "Who may do what" },
  { name: "help", usage: "", description: "What this bot understands" },
] as const satisfies readonly TelegramCommand[];

export type TelegramCommandName = (typeof TELEGRAM_COMMANDS)[number]["name"];

/** The entries of the menu: what setMyCommands takes. */
export function telegramMenu(): { command: string; description: string }[] {
  return TELEGRAM_COMMANDS.map(({ name, usage, description }) => ({
    command: name,
    description: usage === "" ? description : `${description}: ${usage}`,
  }));
}

/** What the edge wants to be told of (setWebhook, allowed_updates). */
export const TELEGRAM_UPDATES = ["message", "callback_query", "my_chat_member"] as const;

/** Where the edge takes them. */
export const TELEGRAM_WEBHOOK_PATH = "/telegram/webhook";
/** Name of the query of the webhook's URL that tells the edge its bot's name, so that it knows which `/cmd@name` are its own. */
export const TELEGRAM_BOT_QUERY = "bot";
