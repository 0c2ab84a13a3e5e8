/** Discord as the edge meets it inside workerd: interactions of people in a server, signed as Discord signs them. */
import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test";
import { env, exports } from "cloudflare:workers";
import { expect } from "vitest";
import type { AuditView } from "../../../contract/chat/audit.ts";
import type { ChatScope } from "../../../contract/chat/scopes.ts";
import type { Env } from "../../../worker/env.ts";
import { actAsked } from "../../../worker/discord/router.ts";
import worker from "../../../worker/index.ts";
import { call, expectJson, get } from "./api.ts";

/** The public key of vitest.config.ts is this seed's. */
const SEED = "01".repeat(32);
const PKCS8_PREFIX = "302e020100300506032b657004220420";

function bytes(hex: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

const importKey = (seed: string): Promise<CryptoKey> =>
  crypto.subtle.importKey("pkcs8", bytes(PKCS8_PREFIX + seed), { name: "Ed25519" }, false, ["sign"]);
const key = importKey(SEED);

let serial = 0;
/** A snowflake that no other test uses. */
export function snowflake(): string {
  serial += 1;
  return `${Date.now()}${String(serial).padStart(5, "0")}`;
}

export interface Person {
  id: string;
  name: string;
  roles: string[];
  administrator?: boolean;
}

/** A server of one test, with roles by what they may do. */
export interface Server {
  id: string;
  channel: string;
  owner: Person;
}

export function person(name: string, roles: string[] = [], administrator = false): Person {
  return { id: snowflake(), name, roles, administrator };
}

/** Of anybody: the edge has not let it in. */
export function strangeServer(): Server {
  return { id: snowflake(), channel: snowflake(), owner: person("owner", [], true) };
}

/** One that the edge has let in. */
export async function newServer(): Promise<Server> {
  const server = strangeServer();
  await allowServer(server);
  return server;
}

export async function allowServer({ id }: Server, allowed = true): Promise<void> {
  await expectJson(call("POST", "/chat/servers", { body: { server: id, allowed } }), 200);
}

/** A role of the server that has been given these scopes. */
export async function roleWith(server: Server, scopes: ChatScope[], deny = false): Promise<string> {
  const role = snowflake();
  await expectJson(
    call("POST", "/chat/grants", { body: { tenant: server.id, subject: `role:${role}`, scopes, deny } }),
    200,
  );
  return role;
}

export interface Interaction {
  id: string;
  type: number;
  [field: string]: unknown;
}

export interface Where {
  server: Server;
  by: Person;
  /** In a thread of the server's channel. */
  thread?: string;
}

function interaction(type: number, data: unknown, { server, by, thread }: Where): Interaction {
  return {
    id: snowflake(),
    application_id: "1000000000000000001",
    token: "token",
    version: 1,
    type,
    guild_id: server.id,
    channel_id: thread ?? server.channel,
    channel:
      thread === undefined
        ? { id: server.channel, type: 0 }
        : { id: thread, type: 11, parent_id: server.channel },
    member: {
      user: { id: by.id, username: by.name },
      roles: by.roles,
      permissions: by.administrator === true ? "8" : "0",
    },
    context: 0,
    authorizing_integration_owners: { "0": server.id },
    data,
  };
}

type Values = Record<string, string | number | boolean>;

/** A slash command; options as people have typed them. `focused`: the one that is being typed. */
export function command(path: string, values: Values, where: Where, focused?: string): Interaction {
  const [name = "", subcommand] = path.split(" ");
  const options = Object.entries(values).map(([option, value]) => ({
    name: option,
    type: typeof value === "string" ? 3 : typeof value === "boolean" ? 5 : 10,
    value,
    ...(option === focused ? { focused: true } : {}),
  }));
  const nested = subcommand === undefined ? options : [{ type: 1, name: subcommand, options }];
  const who = { [String(values["who"])]: { id: values["who"] } };
  const resolved = path === "roles set" ? { resolved: { roles: who } } : {};
  const data = { id: "1", name, type: 1, options: nested, ...resolved };
  return interaction(focused === undefined ? 2 : 4, data, where);
}

export function messageCommand(name: string, content: string, where: Where): Interaction {
  const data = {
    id: "1",
    name,
    type: 3,
    target_id: "9",
    resolved: { messages: { "9": { id: "9", content } } },
  };
  return interaction(2, data, where);
}

export function button(customId: string, where: Where): Interaction {
  return { ...interaction(3, { component_type: 2, custom_id: customId }, where), message: { id: "9" } };
}

export function select(customId: string, values: string[], where: Where): Interaction {
  const data = { component_type: 3, custom_id: customId, values };
  return { ...interaction(3, data, where), message: { id: "9" } };
}

export function form(customId: string, values: Record<string, string>, where: Where): Interaction {
  const components = Object.entries(values).map(([field, value]) => ({
    type: 18,
    component: { type: 4, custom_id: field, value },
  }));
  return interaction(5, { custom_id: customId, components }, where);
}

/** The same from a direct message: there are no member and no server. */
export function direct(from: Interaction): Interaction {
  const { member, guild_id: _server, ...rest } = from;
  return {
    ...rest,
    user: (member as { user: unknown }).user,
    channel: { id: snowflake(), type: 1 },
    context: 1,
    authorizing_integration_owners: { "0": "0" },
  };
}

/** The same from somebody who has brought the application along: the server has not installed it. */
export function broughtAlong(from: Interaction): Interaction {
  const { user } = from["member"] as { user: { id: string } };
  return { ...from, authorizing_integration_owners: { "1": user.id } };
}

export interface Sending {
  /** Seconds that the signature is old. */
  ageSeconds?: number;
  /** Signed with another key. */
  forged?: boolean;
  /** What becomes of the body after it was signed. */
  spoil?: (body: string) => string;
  headers?: Record<string, string>;
}

async function signedRequest(given: unknown, sending: Sending): Promise<Request> {
  const { ageSeconds = 0, forged = false, spoil = (body: string) => body, headers } = sending;
  const body = JSON.stringify(given);
  const timestamp = String(Math.floor(Date.now() / 1000) - ageSeconds);
  const signer = forged ? await importKey("02".repeat(32)) : await key;
  const signature = await crypto.subtle.sign("Ed25519", signer, new TextEncoder().encode(timestamp + body));
  return new Request("https://edge/discord/interactions", {
    method: "POST",
    headers: {
      "content-type": "application/json",
      "x-signature-ed25519": [...new Uint8Array(signature)]
        .map((byte) => byte.toString(16).padStart(2, "0"))
        .join(""),
      "x-signature-timestamp": timestamp,
      ...headers,
    },
    body: spoil(body),
  });
}

/** To the Worker as it is configured: without a bot, so that every answer is inline. */
export async function sendInteraction(given: unknown, sending: Sending = {}): Promise<Response> {
  return exports.default.fetch(await signedRequest(given, sending));
}

/**
 * To the same Worker with a bot; `broken`: what of its environment is not as it should be. `over` resolves when nothing of
 * the request is under way any more.
 */
export async function sendToBot(
  given: unknown,
  broken: Partial<Record<keyof Env, undefined>> = {},
): Promise<{ answer: Response; over: () => Promise<void> }> {
  const context = createExecutionContext();
  const withBot = { ...env, DISCORD_BOT_TOKEN: "of-a-bot", ...broken } as unknown as Env;
  const answer = await worker.fetch((await signedRequest(given, {})) as never, withBot, context);
  return { answer, over: () => waitOnExecutionContext(context) };
}

export interface Answered {
  type: number;
  data: {
    flags?: number;
    components?: unknown[];
    choices?: { name: string; value: string }[];
    custom_id?: string;
    title?: string;
  };
  /** Everything that a reader sees of it. */
  text: string;
}

/** Kinds that are acts: commands, presses, forms. */
const ACTS: readonly number[] = [2, 3, 5];

/** What an interaction is answered, inline; of one that could have been deferred, that its answer could have followed. */
export async function answered(given: Interaction): Promise<Answered> {
  const answer = await expectJson<Omit<Answered, "text">>(sendInteraction(given), 200);
  const deferrable = ACTS.includes(given.type) && !actAsked(given as never).inline;
  // What takes the place of an approval's message comes from the outbox as well.
  if (deferrable && answer.type !== 7)
    expect(answer).toMatchObject({ type: 4, data: { flags: (1 << 15) | 64 } });
  const texts: string[] = [];
  JSON.stringify(answer, (name, value: unknown) => {
    if ((name === "content" || name === "label" || name === "title") && typeof value === "string")
      texts.push(value.replaceAll("\\", ""));
    return value;
  });
  return { ...answer, text: texts.join("\n") };
}

/** What people did in a server, newest first; without what was set for it over HTTP. */
export async function auditOf(server: Server): Promise<AuditView[]> {
  const { audit } = await get<{ audit: AuditView[] }>("/chat/audit?limit=500");
  return audit.filter(({ tenant, platform }) => tenant === server.id && platform !== "api");
}

/** Acts of one person, newest first. */
export async function actsOf({ id }: Person): Promise<AuditView[]> {
  return (await get<{ audit: AuditView[] }>(`/chat/audit?user=${id}`)).audit;
}

/** The run that an answer says was started. */
export function startedRun({ text }: Answered): string {
  const run = /run_[0-9a-z]{16}_\d+/.exec(text)?.[0];
  expect(run, text).toBeDefined();
  return run ?? "";
}
