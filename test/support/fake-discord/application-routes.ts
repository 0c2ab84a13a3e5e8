/** Routes of the application itself: its interactions endpoint and its commands. */
import { brokenCommandRules, type CommandBody } from "./command-rules.ts";
import { inGuild } from "./channel-routes.ts";
import { DiscordError, invalidForm, refusal } from "./errors.ts";
import { throwBroken } from "./posting.ts";
import type { Call, Reply, Route } from "./requests.ts";
import type { World } from "./world.ts";

const GLOBAL = "/applications/{application_id}/commands";
const GUILD = "/applications/{application_id}/guilds/{guild_id}/commands";
/** New names in one scope and day. */
const CREATES_A_DAY = 200;

/** `verifyEndpoint` asks the URL as Discord does; it answers what is wrong with it. */
export function applicationRoutes(verifyEndpoint: (url: string) => Promise<string | undefined>): Route[] {
  return [
    {
      on: "GET /applications/@me",
      auth: "bot",
      handle: ({ world }) => ({ status: 200, body: applicationView(world) }),
    },
    {
      on: "PATCH /applications/@me",
      auth: "bot",
      handle: async ({ world, body }) => {
        const patch = body as { interactions_endpoint_url?: string | null };
        const url = patch.interactions_endpoint_url ?? "";
        if (url !== "") await refuseUnlessVerified(url, verifyEndpoint);
        world.application = { ...world.application, ...patch };
        return { status: 200, body: applicationView(world) };
      },
    },
    ...[GLOBAL, GUILD].flatMap((path): Route[] => [
      {
        on: `GET ${path}`,
        auth: "bot",
        handle: ({ world, params }) => ({
          status: 200,
          body: world.commands.get(scopeOf(world, params)) ?? [],
        }),
      },
      {
        on: `PUT ${path}`,
        auth: "bot",
        handle: (call) => ({ status: 200, body: setCommands(call, (call.body ?? []) as CommandBody[]) }),
      },
      { on: `POST ${path}`, auth: "bot", handle: createCommand },
    ]),
  ];
}

async function refuseUnlessVerified(
  url: string,
  verifyEndpoint: (url: string) => Promise<string | undefined>,
): Promise<void> {
  const path = ["interactions_endpoint_url"];
  const { protocol, hostname } = new URL(url);
  if (protocol !== "https:" && hostname !== "127.0.0.1" && hostname !== "localhost")
    throw invalidForm([{ path, message: "must be https", code: "URL_TYPE_INVALID_SCHEME" }]);
  const wrong = await verifyEndpoint(url);
  if (wrong === undefined) return;
  const message = `The specified interactions endpoint URL could not be verified. (${wrong})`;
  throw invalidForm([{ path, message, code: "APPLICATION_INTERACTIONS_ENDPOINT_URL_INVALID" }]);
}

function createCommand(call: Call): Reply {
  const { world, params } = call;
  const command = call.body as CommandBody;
  const present = (world.commands.get(scopeOf(world, params)) ?? []) as unknown as CommandBody[];
  const others = present.filter((one) => !sameCommand(one, command));
  const stored = setCommands(call, [...others, command]);
  return { status: others.length === present.length ? 201 : 200, body: stored.at(-1) };
}

/** Replaces all commands of the scope; a name that was there keeps its id. */
function setCommands({ world, params }: Call, commands: CommandBody[]): Array<Record<string, unknown>> {
  const scope = scopeOf(world, params);
  throwBroken(brokenCommandRules(commands, scope === ""));
  const before = world.commands.get(scope) ?? [];
  const after = commands.map((command) => {
    const known = before.find((one) => sameCommand(one as unknown as CommandBody, command));
    if (known === undefined) countCreate(world, scope);
    const permissions = command.default_member_permissions ?? null;
    return {
      type: 1,
      ...command,
      id: known?.["id"] ?? world.newId(),
      application_id: world.app.id,
      version: world.newId(),
      default_member_permissions: permissions === null ? null : String(permissions),
      ...(scope === "" ? {} : { guild_id: scope }),
    };
  });
  world.commands.set(scope, after);
  return after;
}

function countCreate(world: World, scope: string): void {
  const count = (world.commandCreates.get(scope) ?? 0) + 1;
  if (count > CREATES_A_DAY)
    throw new DiscordError(
      429,
      30034,
      `Max number of daily application command creates has been reached (${CREATES_A_DAY})`,
    );
  world.commandCreates.set(scope, count);
}

function sameCommand(a: CommandBody, b: CommandBody): boolean {
  return a.name === b.name && (a.type ?? 1) === (b.type ?? 1);
}

function scopeOf(world: World, params: Record<string, string>): string {
  if (params["application_id"] !== world.app.id) throw refusal("unknownApplication");
  if (params["guild_id"] === undefined) return "";
  inGuild(world, params);
  return world.guild.id;
}

function applicationView(world: World): Record<string, unknown> {
  return {
    id: world.app.id,
    name: world.app.username,
    description: "",
    flags: 0,
    // As every new application has it.
    bot_public: true,
    interactions_endpoint_url: null,
    ...world.application,
    verify_key: world.publicKey,
  };
}
