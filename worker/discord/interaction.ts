/**
 * Reading an interaction: who, where, what. Discord has signed it, so its form is Discord's; what people have typed is in it,
 * and nothing of that is believed.
 */
import type {
  APIInteraction,
  APIInteractionDataResolved,
  APIMessageComponentInteraction,
  APIModalSubmitInteraction,
} from "discord-api-types/v10";
import { isAdministrator } from "../../contract/chat/discord-permissions.ts";
import type { ChatPlace } from "../../contract/chat/place.ts";
import { DIRECT_MESSAGES, type Asker } from "../chat/asker.ts";

/** Key of the server that has installed the application, among those who have. */
const SERVER_INSTALL = "0";
/** Types of channels that are threads: of announcements, public, private. */
const THREAD_TYPES: readonly number[] = [10, 11, 12];

export function askerOf(interaction: APIInteraction): Asker {
  const { member, id } = interaction;
  const user = member?.user ?? interaction.user;
  const inServer =
    member !== undefined && interaction.guild_id !== undefined && isInstalledThere(interaction);
  return {
    place: placeOf(interaction),
    tenant: (inServer ? interaction.guild_id : undefined) ?? DIRECT_MESSAGES,
    user: { id: user?.id ?? "0", name: member?.nick ?? user?.global_name ?? user?.username ?? "unknown" },
    roles: inServer ? [...member.roles] : [],
    administrator: inServer && isAdministrator(member.permissions),
    requestId: id,
  };
}

/** By the server itself, and not brought along by a user. Older payloads do not say it; ChatAccess knows the server or not. */
function isInstalledThere(interaction: APIInteraction): boolean {
  const owners = interaction.authorizing_integration_owners as Partial<Record<string, string>> | undefined;
  return owners === undefined || owners[SERVER_INSTALL] === interaction.guild_id;
}

function placeOf({ channel }: APIInteraction): ChatPlace {
  const id = channel?.id ?? "0";
  const parent = channel !== undefined && "parent_id" in channel ? channel.parent_id : undefined;
  if (channel !== undefined && THREAD_TYPES.includes(channel.type) && typeof parent === "string")
    return { platform: "discord", channel: parent, thread: id };
  return { platform: "discord", channel: id };
}

/** What somebody has typed or chosen, by name. */
export class Options {
  readonly #values: ReadonlyMap<string, unknown>;
  readonly #resolved: APIInteractionDataResolved | undefined;

  constructor(values: ReadonlyMap<string, unknown>, resolved?: APIInteractionDataResolved) {
    this.#values = values;
    this.#resolved = resolved;
  }

  /** Undefined for none, an empty one too. */
  text(name: string): string | undefined {
    const value = this.#values.get(name);
    return typeof value === "string" && value.trim() !== "" ? value : undefined;
  }

  number(name: string): number | undefined {
    const value = this.#values.get(name);
    return typeof value === "number" && Number.isFinite(value) ? value : undefined;
  }

  flag(name: string): boolean | undefined {
    const value = this.#values.get(name);
    return typeof value === "boolean" ? value : undefined;
  }

  /** One of these words; undefined for anything else. */
  word<Word extends string>(name: string, words: readonly Word[]): Word | undefined {
    const value = this.text(name);
    return words.find((word) => word === value);
  }

  /** The subject of a grant for a role or a user that was mentioned; undefined for what Discord does not know as either. */
  subject(name: string): string | undefined {
    const id = this.text(name);
    if (id === undefined) return undefined;
    if (this.#resolved?.roles?.[id] !== undefined) return `role:${id}`;
    return this.#resolved?.users?.[id] === undefined ? undefined : `user:${id}`;
  }
}

interface RawOption {
  name: string;
  type: number;
  value?: unknown;
  focused?: boolean;
  options?: RawOption[];
}

export interface ReadCommand {
  /** Name and subcommand: "flow dispatch". */
  path: string;
  options: Options;
  /** The option that is being typed, for choices. */
  focused?: { name: string; value: string };
}

/** Types of options that are subcommands, or groups of them. */
const NESTED: readonly number[] = [1, 2];

export function readCommand(data: {
  name: string;
  options?: unknown;
  resolved?: APIInteractionDataResolved | undefined;
}): ReadCommand {
  let path = data.name;
  let options = (data.options ?? []) as RawOption[];
  for (let nested = options[0]; nested !== undefined && NESTED.includes(nested.type); nested = options[0]) {
    path += ` ${nested.name}`;
    options = nested.options ?? [];
  }
  const focused = options.find((option) => option.focused === true);
  return {
    path,
    options: new Options(new Map(options.map(({ name, value }) => [name, value])), data.resolved),
    ...(focused === undefined ? {} : { focused: { name: focused.name, value: textOf(focused.value) } }),
  };
}

function textOf(value: unknown): string {
  return typeof value === "string" || typeof value === "number" ? String(value) : "";
}

interface RawField {
  custom_id?: string;
  value?: unknown;
  values?: unknown[];
  component?: RawField;
  components?: RawField[];
}

/** Fields of a form by their custom ids; of a select the first choice. */
export function readForm({ data }: APIModalSubmitInteraction): Options {
  const values = new Map<string, unknown>();
  const read = (field: RawField): void => {
    if (field.custom_id !== undefined) values.set(field.custom_id, field.value ?? field.values?.[0]);
    for (const inner of [field.component, ...(field.components ?? [])]) if (inner !== undefined) read(inner);
  };
  for (const field of data.components as unknown as RawField[]) read(field);
  return new Options(values);
}

/** What was chosen in a select; nothing for a button. */
export function chosen({ data }: APIMessageComponentInteraction): string[] {
  return "values" in data ? data.values : [];
}
