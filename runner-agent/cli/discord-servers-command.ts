/**
 * `codex-flow discord servers`, `allow` and `forbid`: the servers whose people count for anything at the edge. Whoever has a
 * server of his own is its administrator and may be able to add the bot to it, so none counts before the owner of the edge
 * has said so. All need an admin token.
 */
import type { Command } from "commander";
import type { ServerView } from "../../contract/chat/audit.ts";
import { EXIT } from "./exit-codes.ts";
import type { Act, Invocation } from "./invocation.ts";
import { byOption, examples, whoSays } from "./option-values.ts";
import { UsageError } from "./problem.ts";

const SNOWFLAKE = /^[0-9]{15,20}$/;

interface ByOptions {
  by?: string;
}

export function registerServers(discord: Command, act: Act): void {
  const list = discord.command("servers").description("List the servers that the edge allows");
  examples(list, [["codex-flow discord servers", "in other servers, every command is refused"]]);
  act(list, async (invocation) => {
    const { client } = await invocation.connect();
    return show(invocation, await client.listServers());
  });
  const allow = byOption(
    discord
      .command("allow")
      .description("Allow a server: administrators get all scopes, others those of /roles")
      .argument("<server>", "id of the server"),
  );
  examples(allow, [["codex-flow discord allow 123456789012345678", "allow the server"]]);
  act<ByOptions>(allow, async (invocation, options, server) =>
    change(invocation, server, { allowed: true, by: whoSays(options) }),
  );
  const forbid = byOption(
    discord
      .command("forbid")
      .description("Remove a server: every command there is refused, whatever the user's roles are")
      .argument("<server>", "id of the server"),
  );
  examples(forbid, [["codex-flow discord forbid 123456789012345678", "remove the server"]]);
  act<ByOptions>(forbid, async (invocation, options, server) =>
    change(invocation, server, { allowed: false, by: whoSays(options) }),
  );
}

async function change(
  invocation: Invocation,
  server: string | undefined,
  how: { allowed: boolean; by: string },
): Promise<number> {
  const id = snowflake(server, "<server>");
  const { client } = await invocation.connect();
  return show(invocation, await client.allowServer({ server: id, ...how }));
}

async function show(invocation: Invocation, servers: ServerView[]): Promise<number> {
  const { renderServers } = await import("./render/discord.ts");
  await invocation.output.show({ servers }, (style) => renderServers(style, servers));
  return EXIT.ok;
}

/** @throws UsageError that says where such an id is to be found */
export function snowflake(text: string | undefined, name: string): string {
  if (text !== undefined && SNOWFLAKE.test(text)) return text;
  throw new UsageError(
    text === undefined || text === "" ? `${name} is not set` : `${name} is no id of Discord's`,
    name === "DISCORD_APPLICATION_ID"
      ? "copy the application's id from discord.com/developers/applications, General Information"
      : "switch on Discord's developer mode, and copy the server's id from its menu",
  );
}
