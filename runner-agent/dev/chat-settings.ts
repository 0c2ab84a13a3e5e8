/** Settings of chats that a development edge takes from the environment it was started in. */
const NAMES = [
  "DISCORD_APPLICATION_ID",
  "DISCORD_PUBLIC_KEY",
  "DISCORD_BOT_TOKEN",
  "DISCORD_POLL_MESSAGES",
  "DISCORD_API_URL",
  "TELEGRAM_BOT_TOKEN",
  "TELEGRAM_WEBHOOK_SECRETS",
  "TELEGRAM_ADMINS",
  "TELEGRAM_API_URL",
];

/** Those that are set and not empty. */
export function chatSettings(environment: Record<string, string | undefined>): Record<string, string> {
  return Object.fromEntries(
    NAMES.flatMap((name) => {
      const value = environment[name];
      return value === undefined || value === "" ? [] : [[name, value]];
    }),
  );
}
