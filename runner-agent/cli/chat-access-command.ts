/** `codex-flow audit` and `codex-flow roles`: what people did in chats, and who may do what there. Both need an admin token. */
import type { Command } from "commander";
import { CHAT_SCOPES, type ChatScope } from "../../contract/chat/scopes.ts";
import { LIST_MAX_ITEMS } from "../../contract/limits.ts";
import { EXIT } from "./exit-codes.ts";
import type { Act } from "./invocation.ts";
import { byOption, examples, whoSays, wholeNumber } from "./option-values.ts";
import { UsageError } from "./problem.ts";

interface AuditOptions {
  limit?: number;
  user?: string;
  run?: string;
  cursor?: string;
}

export function registerAudit(program: Command, act: Act): void {
  const audit = program
    .command("audit")
    .description("Show what people did in chats and how the guard answered relays, newest first")
    .option("--limit <count>", "maximum number of rows", wholeNumber(1, LIST_MAX_ITEMS))
    .option("--user <id>", "only rows of this user (the platform's id)")
    .option("--run <id>", "only rows about this run")
    .option("--cursor <cursor>", "continue after the previous page");
  examples(audit, [
    ["codex-flow audit", "the newest rows, also of refused commands"],
    ["codex-flow audit --run run_0123456789abcdef_1 --json", "rows of one run, for a script"],
  ]);
  act<AuditOptions>(audit, async (invocation, { limit, user, run, cursor }) => {
    const { client } = await invocation.connect();
    const page = await client.listAudit({ limit, user, run, cursor });
    const { renderAudit } = await import("./render/chat-access.ts");
    await invocation.output.show(page, (style) => renderAudit(style, page));
    return EXIT.ok;
  });
}

interface RolesOptions {
  deny?: boolean;
  by?: string;
}

export function registerRoles(program: Command, act: Act): void {
  const roles = program
    .command("roles")
    .description("Permissions in the chats of a server (Discord) or a bot (Telegram): list, set");
  const list = roles
    .command("list")
    .description("List the scopes of roles and users")
    .argument("<tenant>", "id of the server or of the bot");
  examples(list, [["codex-flow roles list 123456789012345678", "of one server"]]);
  act(list, async (invocation, _options, tenant: string) => {
    const { client } = await invocation.connect();
    const grants = await client.listGrants(tenant);
    const { renderGrants } = await import("./render/chat-access.ts");
    await invocation.output.show({ grants }, (style) => renderGrants(style, grants));
    return EXIT.ok;
  });

  const set = byOption(
    roles
      .command("set")
      .description("Set the scopes of a role or a user; without scopes, remove all of them")
      .argument("<tenant>", "id of the server or of the bot")
      .argument("<subject>", "role:<id> or user:<id>")
      .argument("[scopes...]", CHAT_SCOPES.join(", "))
      .option("--deny", "deny everything, whatever other scopes they have"),
  );
  examples(set, [
    ["codex-flow roles set 123456789012345678 role:234567890123456789 run:read run:start", "two scopes"],
    ["codex-flow roles set 123456789012345678 user:345678901234567890 --deny", "nothing for this user"],
  ]);
  act<RolesOptions>(set, async (invocation, options, tenant = "", subject = "", ...scopes) => {
    const { deny = false } = options;
    if (deny && scopes.length > 0)
      throw new UsageError("--deny leaves no scopes", "leave out either the scopes or --deny");
    const { client } = await invocation.connect();
    const given = {
      tenant,
      subject,
      scopes: scopes.map(asScope),
      deny,
      by: whoSays(options),
    };
    const grants = await client.setGrant(given);
    const { renderGrants } = await import("./render/chat-access.ts");
    await invocation.output.show({ grants }, (style) => renderGrants(style, grants));
    return EXIT.ok;
  });
}

function asScope(text: string): ChatScope {
  const known = CHAT_SCOPES.find((scope) => scope === text);
  if (known !== undefined) return known;
  throw new UsageError(`"${text}" is no scope`, `they are ${CHAT_SCOPES.join(", ")}`);
}
