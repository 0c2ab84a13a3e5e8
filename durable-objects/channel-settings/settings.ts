/**
 * What was said about a channel: what it follows and how that is shown, where Codex works when somebody asks for it there,
 * and whether relays may post. Pure functions of the settings; object.ts keeps them.
 */
import type { SessionPolicy } from "../../contract/codex-prompt.ts";
import { FOLLOWS_PER_CHANNEL_MAX, GUARDS_PER_CHANNEL_MAX } from "../../contract/limits.ts";
import type { OutputMode } from "../chat-outbox/calls.ts";

/** Leave for relays to post, or its refusal. */
export interface Guard {
  on: boolean;
  /** Only this thread or topic; absent: the whole channel. */
  topic?: string;
  /** Only this session of an agent; absent: every one. */
  sessionKey?: string;
  /** As `userLabel` writes it. */
  by: string;
  /** Epoch ms. */
  at: number;
}

export interface Settings {
  /** Somebody who may has said that the bot is to hear this chat (Telegram, whose bots anybody can add to a group). */
  bound: boolean;
  flows: string[];
  types: string[];
  threads: boolean;
  output: OutputMode;
  safe: boolean;
  project?: string;
  workdir?: string;
  session: SessionPolicy;
  /** A plain message begins a run with it as the prompt, where plain messages arrive. */
  prompts: boolean;
  /** On Discord, what mentions the bot in a run's thread is said to the run. Absent: as the deployment says. */
  listen?: boolean;
  guards: Guard[];
  /** Counts the changes of what the platform's outbox has to know, and says which of them it knows. */
  followsRev: number;
  toldRev: number;
}

/** Defaults of every channel. The chat outbox uses them too, so that `/settings` shows what really happens. */
export const NO_SETTINGS: Settings = {
  bound: false,
  flows: [],
  types: [],
  threads: true,
  output: "balanced",
  safe: false,
  session: "auto",
  prompts: false,
  guards: [],
  followsRev: 0,
  toldRev: 0,
};

/** What is changed; null takes away. */
export interface SettingsChange {
  bound?: boolean;
  follow?: { flows?: string[]; types?: string[] };
  unfollow?: { flows?: string[]; types?: string[] };
  threads?: boolean;
  output?: OutputMode;
  safe?: boolean;
  project?: string | null;
  workdir?: string | null;
  session?: SessionPolicy;
  prompts?: boolean;
  listen?: boolean;
  /** Leave for relays is taken back; what was refused to them stays refused. */
  unguard?: boolean;
}

/** Nothing of the channel is used or shown any more: what it had is as if nobody had said it. */
export const LET_GO: SettingsChange = {
  bound: false,
  unfollow: { flows: ["*"], types: ["*"] },
  unguard: true,
};

/** The bot is to hear and show things here, one way or another. */
export function isInUse({ bound, flows, types, guards }: Settings): boolean {
  return bound || flows.length > 0 || types.length > 0 || guards.some(({ on }) => on);
}

/**
 * What has to be set in the channel that a channel has become. Nothing that was set there meanwhile is lost: what is followed
 * is joined, all else stands as it was said last. Set again, it changes nothing.
 */
export function movedSettings(old: Settings, known: Settings): { change: SettingsChange; guards: Guard[] } {
  const { flows, types, threads, output, safe, session, prompts, listen, project, workdir } = old;
  const follow = { flows, types };
  const bound = old.bound || known.bound;
  const guards = old.guards.filter((guard) => !known.guards.some((one) => outdoes(one, guard)));
  if (isInUse(known)) return { change: { bound, follow }, guards };
  return {
    change: {
      bound,
      follow,
      threads,
      output,
      safe,
      session,
      prompts,
      ...(listen === undefined ? {} : { listen }),
      ...(project === undefined ? {} : { project }),
      ...(workdir === undefined ? {} : { workdir }),
    },
    guards,
  };
}

/** What was said in the new channel stands; and there, too, what is said of all takes back what was said of single ones before. */
function outdoes(known: Guard, { topic, sessionKey, at }: Guard): boolean {
  if (known.topic !== topic) return false;
  if (sessionKey === undefined || known.sessionKey === sessionKey) return true;
  return known.sessionKey === undefined && known.at > at;
}

export type SettingsAnswer = { kind: "set"; settings: Settings } | { kind: "full"; most: number };

export function changeSettings(settings: Settings, change: SettingsChange): SettingsAnswer {
  const { follow, unfollow, bound, threads, output, safe, project, workdir, session, prompts } = change;
  const listen = change.listen ?? settings.listen;
  const guards = change.unguard === true ? settings.guards.filter(({ on }) => !on) : settings.guards;
  const without = (known: string[], gone: string[] = []): string[] =>
    gone.includes("*") ? [] : known.filter((one) => !gone.includes(one));
  const flows = [...new Set([...without(settings.flows, unfollow?.flows), ...(follow?.flows ?? [])])];
  const types = [...new Set([...without(settings.types, unfollow?.types), ...(follow?.types ?? [])])];
  if (flows.length + types.length > FOLLOWS_PER_CHANNEL_MAX)
    return { kind: "full", most: FOLLOWS_PER_CHANNEL_MAX };
  const { project: projectBefore, workdir: workdirBefore, ...rest } = settings;
  const projectNow = project === undefined ? projectBefore : project;
  const workdirNow = workdir === undefined ? workdirBefore : workdir;
  const next: Settings = {
    ...rest,
    bound: bound ?? settings.bound,
    prompts: prompts ?? settings.prompts,
    guards,
    flows,
    types,
    threads: threads ?? settings.threads,
    output: output ?? settings.output,
    safe: safe ?? settings.safe,
    session: session ?? settings.session,
    ...(listen === undefined ? {} : { listen }),
    ...(projectNow == null ? {} : { project: projectNow }),
    ...(workdirNow == null ? {} : { workdir: workdirNow }),
  };
  // The outbox shows a channel by these same defaults until a setting differs from them, or the channel is bound.
  const shown = ({
    bound: b,
    flows: f,
    types: t,
    threads: h,
    output: o,
    safe: s,
    listen: l,
  }: Settings): string => JSON.stringify([b, f, t, h, o, s, l]);
  const followsRev = settings.followsRev + (shown(next) === shown(settings) ? 0 : 1);
  return { kind: "set", settings: { ...next, followsRev } };
}

/**
 * What is said with a session's key concerns that session alone, in the channel or in one thread of it; what is said
 * without one concerns all, and takes back what was said of single ones there before.
 */
export function setGuard(settings: Settings, guard: Guard): SettingsAnswer {
  const { topic, sessionKey } = guard;
  const isReplaced = (known: Guard): boolean =>
    known.topic === topic && (sessionKey === undefined || known.sessionKey === sessionKey);
  let others = settings.guards.filter((known) => !isReplaced(known));
  // Never the oldest one away to make room, it may be the one that says no; but what changes nothing may go.
  if (others.length >= GUARDS_PER_CHANNEL_MAX) others = others.filter((known) => decides(known, others));
  if (others.length >= GUARDS_PER_CHANNEL_MAX) return { kind: "full", most: GUARDS_PER_CHANNEL_MAX };
  return { kind: "set", settings: { ...settings, guards: [...others, guard] } };
}

/** False for the refusal of a session that would not be allowed without it either. */
function decides(guard: Guard, guards: readonly Guard[]): boolean {
  if (guard.on || guard.sessionKey === undefined) return true;
  return guardVerdict(
    guards.filter((other) => other !== guard),
    guard,
  ).allowed;
}

export interface RelayQuestion {
  topic?: string;
  sessionKey?: string;
}
export type GuardVerdict =
  { allowed: true; reason: "on" } | { allowed: false; reason: "not_set" | "off" | "other_session" };

/**
 * Whether a relay may post. What was said about the thread itself stands above what was said about its channel, and in
 * each, what was said about the session above what was said about all.
 */
export function guardVerdict(guards: readonly Guard[], { topic, sessionKey }: RelayQuestion): GuardVerdict {
  for (const place of topic === undefined ? [undefined] : [topic, undefined]) {
    const here = guardsAt(guards, place);
    const ofSession = here.find((guard) => guard.sessionKey !== undefined && guard.sessionKey === sessionKey);
    const guard = ofSession ?? here.find((one) => one.sessionKey === undefined);
    if (guard !== undefined)
      return guard.on ? { allowed: true, reason: "on" } : { allowed: false, reason: "off" };
    // Open for others and not for this one: what the channel says of all does not open it.
    if (here.some(({ on }) => on)) return { allowed: false, reason: "other_session" };
  }
  return { allowed: false, reason: "not_set" };
}

/** What was said about this thread, or about the channel itself. */
export function guardsAt(guards: readonly Guard[], topic: string | undefined): Guard[] {
  return guards.filter((guard) => guard.topic === topic);
}
