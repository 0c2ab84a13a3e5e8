/** What people set for a channel and for those who use it: what it follows, where Codex works, the guard, the roles. */
import type { ChatPlace } from "../../contract/chat/place.ts";
import { CHAT_SCOPES, type ChatGrant, type ChatScope } from "../../contract/chat/scopes.ts";
import type { GrantRow } from "../../durable-objects/chat-access/calls.ts";
import { CHAT_ACCESS } from "../../durable-objects/chat-access/naming.ts";
import {
  changeChannel,
  glanceAtSettings,
  guardChannel,
  readSettings,
} from "../../durable-objects/channel-settings/client.ts";
import {
  guardsAt,
  guardVerdict,
  LET_GO,
  type Guard,
  type Settings,
  type SettingsAnswer,
  type SettingsChange,
} from "../../durable-objects/channel-settings/settings.ts";
import { catalog } from "../catalog/catalog.ts";
import type { Env } from "../env.ts";
import { refused, said, type ChatAnswer } from "./answer.ts";
import { byOf, type Asker } from "./asker.ts";
import { eventTypes } from "./start.ts";

/** Of a project, as runners name them. */
const NAME_MAX_CHARS = 64;
const PATH_MAX_CHARS = 1_024;
/** Sessions with a guard of their own that an answer names. */
const SESSIONS_SHOWN = 10;

export async function showSettings(env: Env, asker: Asker): Promise<ChatAnswer> {
  return settingsAnswer("shown", `Settings of ${placeWord(asker)}`, await readSettings(env, asker.place));
}

/** Changes what the channel follows, or how runs that are asked for here work. */
export async function setChannel(env: Env, asker: Asker, change: SettingsChange): Promise<ChatAnswer> {
  const unknown = unknownNames(change);
  if (unknown.length > 0)
    return refused("unknown_name", `Not deployed: ${unknown.join(", ")}`, [
      `Flows: ${catalog.flows.map(({ name }) => name).join(", ")}`,
      `Types: ${eventTypes().join(", ")}`,
      "* stands for all of them.",
    ]);
  const { project, workdir } = change;
  if (!isText(project, NAME_MAX_CHARS))
    return refused("invalid_project", "A project's name is one short line");
  if (!isText(workdir, PATH_MAX_CHARS)) return refused("invalid_workdir", "A folder is one line, a path");
  const answer = await changeChannel(env, asker.place, change);
  return answered(answer, (settings) =>
    settingsAnswer("changed", `New settings of ${placeWord(asker)}`, settings),
  );
}

/** What people call such a place on its platform. */
function placeWord({ place }: Pick<Asker, "place">): "this channel" | "this chat" {
  return place.platform === "discord" ? "this channel" : "this chat";
}

/** The bot leaves a chat alone, whatever made it hear that chat before. */
export async function letGo(env: Env, asker: Asker): Promise<ChatAnswer> {
  const { guards } = await glanceAtSettings(env, asker.place);
  const answer = await changeChannel(env, asker.place, LET_GO);
  return answered(answer, () =>
    said("let go", "Let go: nothing is followed here any more", {
      tone: "stopped",
      lines: [
        ...(guards.some(({ on }) => on)
          ? ["/codeflow was on: relays may not post here any more, until somebody turns it on again."]
          : []),
        "A group hears only /bind, /codeflow and /help of an administrator of the bot from now on.",
      ],
    }),
  );
}

function unknownNames({ follow }: SettingsChange): string[] {
  const flows = catalog.flows.map(({ name }) => name);
  return [
    ...(follow?.flows ?? []).filter((name) => name !== "*" && !flows.includes(name)),
    ...(follow?.types ?? []).filter((type) => type !== "*" && !eventTypes().includes(type)),
  ];
}

function isText(text: string | null | undefined, most: number): boolean {
  return text == null || (text.length > 0 && text.length <= most && !/\p{Cc}/u.test(text));
}

function answered(answer: SettingsAnswer, show: (settings: Settings) => ChatAnswer): ChatAnswer {
  return answer.kind === "full"
    ? refused("too_many", `A channel has at most ${answer.most} of these`)
    : show(answer.settings);
}

function settingsAnswer(outcome: string, title: string, settings: Settings): ChatAnswer {
  const { flows, types, threads, output, safe, project, workdir, session, prompts, listen } = settings;
  const { followsRev, toldRev } = settings;
  return said(outcome, title, {
    tone: "neutral",
    lines: [
      `Follows flows: ${flows.join(", ") || "none"}`,
      `Follows types: ${types.join(", ") || "none"}`,
      `Codex works in: ${project ?? workdir ?? "the runner's workspace"}`,
      ...(toldRev < followsRev
        ? ["The bot has not heard of this yet; it will with the next look at it."]
        : []),
    ],
    fields: [
      { name: "threads", value: threads ? "one a run" : "off" },
      { name: "output", value: output },
      { name: "safe mode", value: safe ? "on" : "off" },
      { name: "session", value: session },
      ...(prompts ? [{ name: "plain messages", value: "prompts" }] : []),
      ...(listen === undefined
        ? []
        : [{ name: "messages to the bot in threads", value: listen ? "picked up" : "not picked up" }]),
    ],
  });
}

/** Lets relays post to this channel (in a thread: to that thread), or forbids it. */
export async function setGuard(
  env: Env,
  asker: Asker,
  { on, sessionKey }: { on: boolean; sessionKey?: string },
): Promise<ChatAnswer> {
  const { thread } = asker.place;
  const guard: Guard = {
    on,
    by: byOf(asker),
    at: Date.now(),
    ...(thread === undefined ? {} : { topic: thread }),
    ...(sessionKey === undefined ? {} : { sessionKey }),
  };
  const answer = await guardChannel(env, asker.place, guard);
  return answered(answer, () =>
    guardAnswer(asker, on ? "on" : "off", guard, [], on ? [relayHint(asker.place)] : []),
  );
}

export async function showGuard(env: Env, asker: Asker): Promise<ChatAnswer> {
  const { guards } = await readSettings(env, asker.place);
  const { thread } = asker.place;
  const ofThread = thread === undefined ? [] : guardsAt(guards, thread);
  const here = ofThread.length > 0 ? ofThread : guardsAt(guards, undefined);
  const [last] = here.slice(-1);
  const guard = here.find(({ sessionKey }) => sessionKey === undefined) ?? last;
  if (guard === undefined)
    return said("shown", `Codeflow is off for ${placeWord(asker)}`, {
      tone: "stopped",
      lines: ["Nobody has turned it on. /codeflow on lets coding agents on other machines post here."],
    });
  return guardAnswer(
    asker,
    "shown",
    guard,
    here.filter((one) => one !== guard),
  );
}

/** How a relay names this place. */
function relayHint({ platform, channel, thread }: ChatPlace): string {
  const [where, topic] =
    platform === "discord" ? ["--channel", "--discord-thread"] : ["--tg-chat", "--tg-thread"];
  return `codex-flow relay ${where} ${channel}${thread === undefined ? "" : ` ${topic} ${thread}`} -- …`;
}

/** @param others what was said about single sessions there besides */
function guardAnswer(
  asker: Asker,
  outcome: string,
  guard: Guard,
  others: Guard[] = [],
  lines: string[] = [],
): ChatAnswer {
  const whole = placeWord(asker);
  const { on, by, at, sessionKey, topic } = guard;
  const { allowed } = guardVerdict([guard], {
    ...(topic === undefined ? {} : { topic }),
    ...(sessionKey === undefined ? {} : { sessionKey }),
  });
  const part = asker.place.platform === "discord" ? "this thread" : "this topic";
  return said(outcome, `Codeflow is ${allowed ? "on" : "off"} for ${topic === undefined ? whole : part}`, {
    tone: on ? "good" : "stopped",
    open: true,
    lines: [
      allowed
        ? "Coding agents on other machines may post here."
        : "Coding agents on other machines may not post here.",
      ...lines,
    ],
    fields: [
      ...(sessionKey === undefined ? [] : [{ name: "session", value: sessionKey }]),
      { name: "set by", value: by },
      ...others
        .slice(-SESSIONS_SHOWN)
        .map((one) => ({ name: `session ${one.sessionKey ?? ""}`, value: one.on ? "on" : "off" })),
    ],
    since: at,
  });
}

/** @param subject `role:<id>` or `user:<id>` */
export async function setGrant(
  env: Env,
  asker: Asker,
  subject: string,
  grant: ChatGrant,
): Promise<ChatAnswer> {
  const answer = await env.CHAT_ACCESS.getByName(CHAT_ACCESS).setGrant(
    asker.tenant,
    subject,
    grant,
    byOf(asker),
  );
  if (answer.kind === "full") return refused("too_many", "No more roles and users can be given something");
  return grantsAnswer(asker, `set ${subject}: ${grantWords(grant)}`, answer.grants);
}

export async function listGrants(env: Env, asker: Asker): Promise<ChatAnswer> {
  return grantsAnswer(asker, "shown", await env.CHAT_ACCESS.getByName(CHAT_ACCESS).grants(asker.tenant));
}

function grantsAnswer({ place }: Asker, outcome: string, grants: GrantRow[]): ChatAnswer {
  return said(outcome, grants.length === 0 ? "Nobody has been given anything" : "Who may do what", {
    tone: "neutral",
    lines: [
      ...grants.map(({ subject, grant, setBy }) => `${subject}: ${grantWords(grant)} (by ${setBy})`),
      place.platform === "discord"
        ? "Administrators of this server have all scopes."
        : "Administrators of the bot (TELEGRAM_ADMINS) have all scopes. Being an administrator of a group gives none.",
      "Deny wins over everything.",
    ],
  });
}

function grantWords({ scopes, deny }: ChatGrant): string {
  return deny === true ? "denied everything" : scopes.join(", ") || "nothing";
}

export function isChatScope(text: string): text is ChatScope {
  return CHAT_SCOPES.some((scope) => scope === text);
}
