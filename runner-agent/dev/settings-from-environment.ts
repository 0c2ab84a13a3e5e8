/** Settings that a development edge takes from the environment it was started in, under the names of wrangler.toml. */
const NAMES = [
  "CODEX_FLOW_PUBLIC_URL",
  "PATH_TOKENS",
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

/** The settings of chats, links and paths that are set and not empty. */
export function settingsFromEnvironment(
  environment: Record<string, string | undefined>,
): Record<string, string> {
  return Object.fromEntries(
    NAMES.flatMap((name) => {
      const value = environment[name];
      return value === undefined || value === "" ? [] : [[name, value]];
    }),
  );
}
