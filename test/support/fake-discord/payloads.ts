/** Payloads of interactions, as Discord sends them, from what stands in the fake's world. `interact` adds id and token. */
import type { Modal } from "./interaction-answers.ts";
import { walk } from "./message-rules.ts";
import { channelView, fullMessageView, memberView, userView } from "./views.ts";
import { DM, type Channel, type Component, type Message, type User, type World } from "./world.ts";

export interface InteractionPayload {
  type: number;
  channel_id: string;
  data: Record<string, unknown>;
  [key: string]: unknown;
}

/** Who acts, and where. A channel of direct messages makes a payload with `user` in the place of `member`. */
export interface Where {
  by: User;
  in: Channel;
  /** The bot's own permissions there, in decimals. */
  appPermissions?: string;
}

/** A value of an option: its type is told from it, or said, as `{ type: 6, value: user.id }`. */
export type OptionValue = string | number | boolean | { type: number; value: string | number | boolean };

const COMMAND = 2;
const COMPONENT = 3;
const AUTOCOMPLETE = 4;
const MODAL_SUBMIT = 5;
const SUBCOMMAND = 1;
const SUBCOMMAND_GROUP = 2;
const MESSAGE_COMMAND = 3;
const BUTTON = 2;
const ROW = 1;
const LABEL = 18;
const TEXT_INPUT = 4;
/** View, send, embed, attach, read history, threads. */
const APP_PERMISSIONS = "326417632320";
const SELECT_KINDS: Record<number, string> = { 5: "users", 6: "roles", 8: "channels" };

export function commandPayload(
  world: World,
  name: string,
  options: Record<string, OptionValue>,
  where: Where,
  focused?: string,
): InteractionPayload {
  const [command = "", ...subcommands] = name.split(" ");
  const values = Object.entries(options).map(([key, given]) => ({
    name: key,
    ...(typeof given === "object" ? given : { type: typeOf(given), value: given }),
    ...(key === focused ? { focused: true } : {}),
  }));
  const nested = subcommands.reduceRight<unknown[]>((inside, one, index) => {
    const type = subcommands.length === 2 && index === 0 ? SUBCOMMAND_GROUP : SUBCOMMAND;
    return [{ type, name: one, options: inside }];
  }, values);
  const data = { id: commandId(world, command, 1), name: command, type: 1, options: nested };
  return payload(world, focused === undefined ? COMMAND : AUTOCOMPLETE, data, where);
}

export function messageCommandPayload(
  world: World,
  name: string,
  message: Message,
  where: Where,
): InteractionPayload {
  return payload(
    world,
    COMMAND,
    {
      id: commandId(world, name, MESSAGE_COMMAND),
      name,
      type: MESSAGE_COMMAND,
      target_id: message.id,
      // Whole, whatever intents the app has.
      resolved: { messages: { [message.id]: fullMessageView(world, message) } },
    },
    where,
  );
}

/** Throws when the message has no such component, or a disabled one: nobody can click what is not there. */
export function componentPayload(
  world: World,
  message: Message,
  customId: string,
  values: string[] | undefined,
  where: Where,
  anyway: boolean,
): InteractionPayload {
  let found: Component | undefined;
  walk(message.components, [], (component) => {
    if (component["custom_id"] === customId) found = component;
  });
  const usable = found !== undefined && found["disabled"] !== true;
  if (!usable && !anyway) throw new Error(`message ${message.id} has no ${customId} that can be used`);
  const type = found?.type ?? (values === undefined ? BUTTON : 3);
  const kind = SELECT_KINDS[type];
  const data = {
    component_type: type,
    custom_id: customId,
    id: 1,
    ...(values === undefined ? {} : { values }),
    ...(kind === undefined ? {} : { resolved: { [kind]: resolved(world, kind, values ?? []) } }),
  };
  return { ...payload(world, COMPONENT, data, where), message: fullMessageView(world, message) };
}

/** Values by custom_id. Throws for what a user cannot type: too long, too short, or left out although required. */
export function modalPayload(
  world: World,
  modal: Modal,
  values: Record<string, string | string[]>,
  where: Where,
  anyway: boolean,
): InteractionPayload {
  const fill = (component: Component): Component => {
    const id = String(component["custom_id"]);
    const given =
      values[id] ?? (component["value"] as string | undefined) ?? (component.type === TEXT_INPUT ? "" : []);
    if (!anyway) checkInput(component, given);
    const said = component.type === TEXT_INPUT ? { value: given } : { values: [given].flat() };
    return { type: component.type, id: 1, custom_id: id, ...said };
  };
  const components = modal.components.flatMap((component): Component[] => {
    if (component.type === LABEL)
      return [{ type: LABEL, id: 1, component: fill(component["component"] as Component) }];
    if (component.type === ROW)
      return [{ type: ROW, id: 1, components: (component["components"] as Component[]).map(fill) }];
    return [{ type: component.type, id: 1 }];
  });
  const source = modal.message === undefined ? {} : { message: fullMessageView(world, modal.message) };
  return { ...payload(world, MODAL_SUBMIT, { custom_id: modal.customId, components }, where), ...source };
}

function checkInput(component: Component, given: string | string[]): void {
  const id = String(component["custom_id"]);
  const required = component["required"] !== false;
  if (required && given.length === 0) throw new Error(`${id} is required`);
  if (component.type !== TEXT_INPUT) return;
  const { min_length: least, max_length: most } = component as { min_length?: number; max_length?: number };
  if (given.length > (most ?? 4_000) || (given.length > 0 && given.length < (least ?? 0)))
    throw new Error(`${id} takes ${least ?? 0} to ${most ?? 4_000} characters, not ${given.length}`);
}

function payload(
  world: World,
  type: number,
  data: Record<string, unknown>,
  where: Where,
): InteractionPayload {
  const direct = where.in.type === DM;
  const guild = direct
    ? { user: userView(where.by), context: 1, authorizing_integration_owners: { "0": "0" } }
    : {
        member: memberView(where.by),
        guild_id: world.guild.id,
        guild: { id: world.guild.id, locale: "en-US", features: [] },
        guild_locale: "en-US",
        context: 0,
        authorizing_integration_owners: { "0": world.guild.id },
      };
  return {
    type,
    version: 1,
    application_id: world.app.id,
    channel_id: where.in.id,
    channel: { ...channelView(where.in), permissions: where.by.permissions },
    app_permissions: where.appPermissions ?? APP_PERMISSIONS,
    locale: "en-US",
    entitlements: [],
    attachment_size_limit: 10_485_760,
    ...guild,
    data,
  };
}

function commandId(world: World, name: string, type: number): string {
  const known = [...world.commands.values()]
    .flat()
    .find((one) => one["name"] === name && (one["type"] ?? 1) === type);
  return typeof known?.["id"] === "string" ? known["id"] : world.newId();
}

function typeOf(value: string | number | boolean): number {
  if (typeof value === "string") return 3;
  if (typeof value === "boolean") return 5;
  return Number.isInteger(value) ? 4 : 10;
}

function resolved(world: World, kind: string, ids: string[]): Record<string, unknown> {
  const find = (id: string): unknown => {
    if (kind === "users") return world.users.get(id);
    if (kind === "roles") return world.guild.roles.find((role) => role.id === id);
    return world.channels.get(id)?.name;
  };
  return Object.fromEntries(ids.map((id) => [id, find(id)]));
}
