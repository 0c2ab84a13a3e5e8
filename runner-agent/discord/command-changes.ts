/**
 * What differs between the commands that Discord has and those of this version. Discord adds ids, versions and defaults, and
 * writes some values otherwise than it takes them: both sides are brought to one form, of what people can notice.
 */
import type { DiscordCommand } from "../../contract/chat/discord-commands.ts";

/** One command that is new, changed or gone. */
export interface CommandChange {
  /** `/flow`, or the name of a message command. */
  name: string;
  change: "new" | "changed" | "gone";
  /** Parts that are new (`+`) or gone (`-`): `option dispatch type`, `description …`. */
  parts: string[];
}

/** Of a server's own commands: where they are offered is said by the server itself. */
export function forGuild(commands: readonly DiscordCommand[]): DiscordCommand[] {
  return commands.map((command) => {
    const { contexts: _contexts, integration_types: _types, ...rest } = command;
    return rest;
  });
}

export function commandChanges(present: readonly object[], wanted: readonly object[]): CommandChange[] {
  const before = new Map(present.map((command) => [keyOf(command), partsOf(command)]));
  const after = new Map(wanted.map((command) => [keyOf(command), partsOf(command)]));
  return [...new Set([...after.keys(), ...before.keys()])].flatMap((key): CommandChange[] => {
    const [was = [], is = []] = [before.get(key), after.get(key)];
    const parts = [
      ...was.filter((part) => !is.includes(part)).map((part) => `- ${part}`),
      ...is.filter((part) => !was.includes(part)).map((part) => `+ ${part}`),
    ];
    if (!before.has(key)) return [{ name: key, change: "new", parts: [] }];
    if (!after.has(key)) return [{ name: key, change: "gone", parts: [] }];
    return parts.length === 0 ? [] : [{ name: key, change: "changed", parts }];
  });
}

type Fields = Record<string, unknown>;

function keyOf(command: object): string {
  const { name, type = SLASH } = command as Fields;
  return type === SLASH ? `/${String(name)}` : String(name);
}

const SLASH = 1;
/** What Discord adds, or what is compared by itself. */
const LEFT_OUT = [
  "id",
  "application_id",
  "version",
  "guild_id",
  "name",
  "type",
  "options",
  "dm_permission",
  "handler",
];
const SETS = ["contexts", "integration_types", "channel_types"];

/** A command as lines, one for each thing that somebody could notice. */
function partsOf(command: object, path = ""): string[] {
  const fields = command as Fields;
  const own = Object.entries(fields)
    .filter(([name, value]) => !LEFT_OUT.includes(name) && !isDefault(value))
    .map(([name, value]) => `${path}${name} ${textOf(name, value)}`);
  const options = (fields["options"] ?? []) as Fields[];
  return [
    ...own,
    ...options.flatMap((option) => {
      const name = `${path}${String(option["name"])}`;
      return [`${name} type ${String(option["type"])}`, ...partsOf(option, `${name} `)];
    }),
  ];
}

/** Discord leaves out what is so anyway, or says it: false, none, empty. */
function isDefault(value: unknown): boolean {
  return (
    value === null ||
    value === undefined ||
    value === false ||
    value === "" ||
    (Array.isArray(value) && value.length === 0)
  );
}

/** Permissions are a number in one direction and a text in the other. */
function textOf(name: string, value: unknown): string {
  if (name === "default_member_permissions") return String(value);
  if (SETS.includes(name) && Array.isArray(value)) return JSON.stringify([...(value as unknown[])].sort());
  if (name === "choices" && Array.isArray(value))
    return JSON.stringify((value as Fields[]).map((choice) => [choice["name"], choice["value"]]));
  return typeof value === "string" ? value : JSON.stringify(value);
}
