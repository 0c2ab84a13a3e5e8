/**
 * `codex-flow discord register`: makes a Discord application send its interactions to the edge and know its commands, and lets
 * the server that is named in. It shows what would change, and changes it with --yes. The bot's token comes from the
 * environment alone, and is never shown.
 */
import type { Command } from "commander";
import { parseBaseUrl } from "../../client/transport.ts";
import { DISCORD_COMMANDS, DISCORD_INTERACTIONS_PATH } from "../../contract/chat/discord-commands.ts";
import { commandChanges, forGuild, type CommandChange } from "../discord/command-changes.ts";
import { registerServers, snowflake } from "./discord-servers-command.ts";
import { createDiscordRest, DISCORD_API_URL, DiscordError, type DiscordRest } from "../discord/rest.ts";
import { EXIT } from "./exit-codes.ts";
import type { Act, Invocation } from "./invocation.ts";
import { examples, whoSays } from "./option-values.ts";
import { UsageError } from "./problem.ts";

/**
 * View channels, send messages and send them in threads, embed links, attach files, read the history, add reactions, create
 * public threads and manage threads.
 */
const BOT_PERMISSIONS = "326417632320";
const UNAUTHORIZED = 401;

interface RegisterOptions {
  guild?: string;
  yes?: boolean;
}

/** Answer of GET /applications/@me, as far as it matters. */
interface Application {
  id: string;
  name: string;
  verify_key: string;
  /** Anybody may add its bot to a server of his own. */
  bot_public?: boolean;
  interactions_endpoint_url: string | null;
}

export interface Registration {
  application: { id: string; name: string; publicKey: string };
  /** Absent: for all servers. */
  guild?: string;
  /** Of that server: whether the edge lets it in already. */
  known?: boolean;
  /** Anybody may add the bot to a server of his own. */
  public: boolean;
  commands: CommandChange[];
  endpoint: { before?: string; after: string };
  invite: string;
  applied: boolean;
}

export function registerDiscord(program: Command, act: Act): void {
  const discord = program.command("discord").description("The Discord application of an edge");
  const register = discord
    .command("register")
    .description("Point an application at the edge and register its commands; shows the changes first")
    .option(
      "--guild <id>",
      "only in this server, where the commands are available immediately; also allows the server",
    )
    .option("--yes", "make the changes");
  examples(register, [
    ["codex-flow discord register --guild 123456789012345678", "what would change, for one server"],
    ["codex-flow discord register --guild 123456789012345678 --yes", "change it"],
    [
      "DISCORD_APPLICATION_ID=… DISCORD_BOT_TOKEN=… codex-flow discord register --yes",
      "for all servers; the application's id and its bot's token are from discord.com/developers/applications",
    ],
  ]);
  act<RegisterOptions>(register, run);
  registerServers(discord, act);
}

async function run(invocation: Invocation, options: RegisterOptions): Promise<number> {
  try {
    return await register(invocation, options);
  } catch (error) {
    if (!(error instanceof DiscordError)) throw error;
    throw new UsageError(`Discord: ${error.message}`, fixFor(error), "discord");
  }
}

function fixFor({ status, message }: DiscordError): string {
  if (status === undefined) return "check this machine's connection to discord.com";
  if (status === UNAUTHORIZED) return "copy the bot's token again: developer portal, Bot, Reset Token";
  if (message.includes("interactions endpoint"))
    return "the edge has to answer Discord first: wrangler secret put DISCORD_PUBLIC_KEY, with the public key shown above, then again";
  return "mend what it says, and run the same again: what is done already is left as it is";
}

async function register(invocation: Invocation, { guild, yes = false }: RegisterOptions): Promise<number> {
  const { environment } = invocation.host;
  const applicationId = snowflake(environment["DISCORD_APPLICATION_ID"], "DISCORD_APPLICATION_ID");
  if (guild !== undefined) snowflake(guild, "--guild");
  const apiUrl = environment["DISCORD_API_URL"];
  // The server is let in with an admin token; commands alone need none.
  const { client, connection } = await invocation.connect(guild === undefined ? "none" : "token");
  const edgeUrl = parseBaseUrl(connection.url.value);
  if (apiUrl === undefined && !edgeUrl.startsWith("https://"))
    throw new UsageError(
      `Discord sends interactions to https URLs only, not to ${edgeUrl}`,
      "pass --url https://…",
    );
  const rest = createDiscordRest(
    botToken(environment["DISCORD_BOT_TOKEN"]),
    apiUrl ?? DISCORD_API_URL,
    edgeUrl,
  );

  const application = await rest.request<Application>("GET", "/applications/@me");
  if (application.id !== applicationId)
    throw new UsageError(
      `DISCORD_BOT_TOKEN belongs to the application ${application.id}, not to ${applicationId}`,
      "take both from the same application",
    );
  const scope = guild === undefined ? "" : `/guilds/${guild}`;
  const path = `/applications/${applicationId}${scope}/commands`;
  const wanted = guild === undefined ? DISCORD_COMMANDS : forGuild(DISCORD_COMMANDS);
  const changes = commandChanges(await rest.request<object[]>("GET", path), wanted);
  const endpoint = `${edgeUrl}${DISCORD_INTERACTIONS_PATH}`;
  const before = application.interactions_endpoint_url ?? undefined;
  const known =
    guild === undefined ? undefined : (await client.listServers()).some(({ server }) => server === guild);
  const registration: Registration = {
    application: { id: application.id, name: application.name, publicKey: application.verify_key },
    ...(guild === undefined ? {} : { guild }),
    ...(known === undefined ? {} : { known }),
    public: application.bot_public === true,
    commands: changes,
    endpoint: { ...(before === undefined ? {} : { before }), after: endpoint },
    invite: inviteLink(applicationId, guild),
    applied: yes,
  };
  const { renderRegistration } = await import("./render/discord.ts");
  await invocation.output.show(registration, (style) => renderRegistration(style, registration));
  // Shown before it is tried: where Discord refuses, the public key that the edge needs is on the screen.
  if (yes) {
    if (guild !== undefined && known !== true)
      await client.allowServer({ server: guild, allowed: true, by: whoSays({}) });
    await apply(rest, path, wanted, registration);
  }
  const nothing = changes.length === 0 && before === endpoint && known !== false;
  const state = nothing ? "nothing is to change" : yes ? "done" : "nothing was changed: --yes does it";
  invocation.output.note(({ colors }) => colors.dim(state));
  return EXIT.ok;
}

async function apply(
  rest: DiscordRest,
  path: string,
  wanted: readonly object[],
  { commands, endpoint }: Registration,
): Promise<void> {
  if (commands.length > 0) await rest.request("PUT", path, wanted);
  // Discord asks the address at this moment, and takes none that does not answer rightly.
  if (endpoint.before !== endpoint.after)
    await rest.request("PATCH", "/applications/@me", { interactions_endpoint_url: endpoint.after });
}

function inviteLink(applicationId: string, guild: string | undefined): string {
  const scopes = "scope=bot+applications.commands";
  const server = guild === undefined ? "" : `&guild_id=${guild}`;
  return `https://discord.com/oauth2/authorize?client_id=${applicationId}&${scopes}&permissions=${BOT_PERMISSIONS}${server}`;
}

function botToken(token: string | undefined): string {
  if (token === undefined || token.trim() === "")
    throw new UsageError(
      "DISCORD_BOT_TOKEN is not set",
      "set it to the bot's token, and put the same: wrangler secret put DISCORD_BOT_TOKEN",
    );
  if (!/^[\w.-]+$/.test(token))
    throw new UsageError(
      "DISCORD_BOT_TOKEN does not look like a bot's token",
      "copy it again, without spaces",
    );
  return token;
}
