/**
 * What each command does, and the scope that it needs: the words are read here, the acts stand in worker/chat. The names are
 * those of contract/chat/telegram-commands.ts, each exactly once.
 */
import { additionOf } from "../../contract/budget.ts";
import { beginningOf } from "../../contract/chat/short-text.ts";
import { CHAT_SCOPES, type ChatScope } from "../../contract/chat/scopes.ts";
import { TELEGRAM_COMMANDS, type TelegramCommandName } from "../../contract/chat/telegram-commands.ts";
import { checkBudgetRequest } from "../../contract/validate.ts";
import { OUTPUT_MODES } from "../../durable-objects/chat-outbox/calls.ts";
import { SESSION_POLICIES } from "../../contract/codex-prompt.ts";
import type { SettingsChange } from "../../durable-objects/channel-settings/settings.ts";
import type { Env } from "../env.ts";
import { refused, said, type ChatAnswer } from "../chat/answer.ts";
import { openApprovals } from "../chat/approvals.ts";
import type { Asker } from "../chat/asker.ts";
import { faultsOfAll } from "../chat/faults.ts";
import { runMeant } from "../chat/located.ts";
import {
  letGo,
  listGrants,
  setChannel,
  setGrant,
  setGuard,
  showGuard,
  showSettings,
} from "../chat/settings.ts";
import { ask, dispatch } from "../chat/start.ts";
import { status } from "../chat/status.ts";
import { cancel, decide, raiseBudget, replay, say } from "../chat/steer.ts";
import { dryRun, listEvents, listRuns, logs, runners, showRun } from "../chat/watch.ts";
import type { RepliedTo } from "./update.ts";
import {
  firstWord,
  leadingOptions,
  leadingRun,
  namedLists,
  onlyOptions,
  onlyRun,
  positiveNumber,
  runAndApproval,
  switchWord,
  typeAndPayload,
  usageOf,
  wordsOf,
  type Read,
} from "./words.ts";

/** One call of a command by somebody who may. */
export interface Call {
  env: Env;
  asker: Asker;
  /** What stands behind the command. */
  rest: string;
  /** Of a command that is about a run: the one that is named, replied to, or whose topic this is. */
  runId: string | undefined;
  repliedTo: RepliedTo | undefined;
  scopes: ReadonlySet<ChatScope>;
}

export interface Command {
  /** Absent: everybody. */
  scope?: ChatScope | ((rest: string) => ChatScope);
  about?: "run";
  /** That it was done shows by itself: a mark on the message is answer enough. */
  acknowledged?: boolean;
  run(call: Call): Promise<ChatAnswer> | ChatAnswer;
}

export const COMMANDS: Record<TelegramCommandName, Command> = {
  ask: { scope: "run:start", acknowledged: true, run: askCodex },
  say: { scope: "run:reply", about: "run", acknowledged: true, run: sayToRun },
  steer: { scope: "run:reply", about: "run", acknowledged: true, run: sayToRun },
  stop: { scope: "run:reply", about: "run", run: cancelRun },
  cancel: { scope: "run:reply", about: "run", run: cancelRun },
  approve: { scope: "run:approve", about: "run", run: (call) => decideApproval(call, "accept", "approve") },
  deny: { scope: "run:approve", about: "run", run: (call) => decideApproval(call, "decline", "deny") },
  budget: { scope: "run:approve", about: "run", run: addBudget },
  dispatch: {
    scope: "run:start",
    acknowledged: true,
    run: ({ env, asker, rest }) =>
      withRead("dispatch", typeAndPayload(rest), (event) => dispatch(env, asker, event)),
  },
  dryrun: {
    scope: "run:read",
    run: ({ rest }) => withRead("dryrun", typeAndPayload(rest), (event) => dryRun(event)),
  },
  events: {
    scope: "run:read",
    run: ({ env, rest }) => {
      const [type] = firstWord(rest);
      return listEvents(env, type === "" ? {} : { type });
    },
  },
  runs: {
    scope: "run:read",
    run: ({ env, rest }) => {
      const [status] = firstWord(rest);
      return listRuns(env, status === "" ? {} : { status });
    },
  },
  show: {
    scope: "run:read",
    about: "run",
    run: (call) => withRun("show", call, ({ env }, runId) => showRun(env, runId)),
  },
  logs: {
    scope: "run:read",
    about: "run",
    run: (call) => withRun("logs", call, ({ env, asker }, runId) => logs(env, asker, runId)),
  },
  replay: { scope: "run:start", about: "run", acknowledged: true, run: replayRunOrEvent },
  runners: { scope: "run:read", run: ({ env }) => runners(env) },
  status: { scope: "run:read", run: ({ env, asker, scopes }) => status(env, asker, scopes) },
  codeflow: { scope: (rest) => (isStatus(rest) ? "run:read" : "run:start"), run: codeflow },
  bind: { scope: "admin", run: bind },
  settings: { scope: (rest) => (rest === "" ? "run:read" : "admin"), run: settings },
  roles: { scope: "admin", run: roles },
  help: { run: () => help() },
};

export function scopeFor({ scope }: Command, rest: string): ChatScope | undefined {
  return typeof scope === "function" ? scope(rest.trim()) : scope;
}

export function unknownCommand(name: string): ChatAnswer {
  return refused("unknown_command", `There is no command /${name}`, ["/help says what there is."]);
}

function help(): ChatAnswer {
  return said("shown", "What this bot understands", {
    tone: "neutral",
    lines: [
      ...TELEGRAM_COMMANDS.map(({ name, description }) => `${usageOf(name)} · ${description}`),
      "In a run's topic, or as a reply to a message about it, the run need not be named, and plain words reach it.",
    ],
  });
}

function askCodex({ env, asker, rest }: Call): Promise<ChatAnswer> | ChatAnswer {
  const { options, rest: prompt } = leadingOptions(rest, ["project", "workdir", "session"] as const);
  const { session, ...where } = options;
  const policy = SESSION_POLICIES.find((known) => known === session);
  if (session !== undefined && policy === undefined)
    return unreadable("ask", `session is one of ${SESSION_POLICIES.join(", ")}`);
  return ask(env, asker, { prompt, ...where, ...(policy === undefined ? {} : { session: policy }) });
}

async function sayToRun({ env, asker, rest, runId }: Call): Promise<ChatAnswer> {
  return say(env, asker, await runMeant(env, asker, runId), leadingRun(rest).rest);
}

function cancelRun(call: Call): Promise<ChatAnswer> {
  return withRun("cancel", call, ({ env, asker }, runId) => cancel(env, asker, runId));
}

function decideApproval(
  { env, asker, rest, runId }: Call,
  decision: "accept" | "decline",
  name: TelegramCommandName,
): Promise<ChatAnswer> {
  return withRead(name, runAndApproval(rest), async ({ approval }) => {
    const id = await runMeant(env, asker, runId);
    if (approval !== undefined) return decide(env, asker, { runId: id, approval, decision });
    const open = await openApprovals(env, id);
    const [only] = open;
    if (only === undefined) return refused("nothing_open", "This run has no pending approvals", [id]);
    if (open.length > 1)
      return refused(
        "several_open",
        "This run has several pending approvals. Name one:",
        open.map((one) => `${one.id}: ${one.title}`),
      );
    return decide(env, asker, { runId: id, approval: only.id, decision });
  });
}

function addBudget({ env, asker, rest, runId }: Call): Promise<ChatAnswer> {
  return withRead(
    "budget",
    onlyOptions(leadingRun(rest).rest, ["tokens", "seconds", "usd"] as const),
    async ({ tokens, seconds, usd }) => {
      const request = {
        ...(tokens === undefined ? {} : { addTokens: positiveNumber(tokens) ?? tokens }),
        ...(seconds === undefined ? {} : { addSeconds: positiveNumber(seconds) ?? seconds }),
        ...(usd === undefined ? {} : { addUsd: positiveNumber(usd) ?? usd }),
      };
      const checked = checkBudgetRequest(request);
      if (!checked.ok) return refused("invalid", usageOf("budget"), faultsOfAll(checked.faults));
      return raiseBudget(env, asker, await runMeant(env, asker, runId), additionOf(checked.value));
    },
  );
}

async function replayRunOrEvent({ env, asker, rest, runId }: Call): Promise<ChatAnswer> {
  const named = leadingRun(rest);
  if (named.runId === undefined && named.rest !== "") return replay(env, asker, { eventId: named.rest });
  return replay(env, asker, { runId: await runMeant(env, asker, runId) });
}

function isStatus(rest: string): boolean {
  return /^status$/i.test(rest);
}

function codeflow({ env, asker, rest }: Call): Promise<ChatAnswer> | ChatAnswer {
  if (isStatus(rest)) return showGuard(env, asker);
  const on = rest === "" ? true : switchWord(rest);
  return on === undefined ? unreadable("codeflow", "say on, off or status") : setGuard(env, asker, { on });
}

function bind({ env, asker, rest }: Call): Promise<ChatAnswer> | ChatAnswer {
  if (switchWord(rest) === false) return letGo(env, asker);
  return withRead("bind", namedLists(rest, ["flows", "types"] as const), (follow) =>
    setChannel(env, asker, { bound: true, follow }),
  );
}

const SETTINGS = [
  "topics",
  "output",
  "safe",
  "prompts",
  "project",
  "workdir",
  "session",
  "unfollow",
] as const;
type SettingName = (typeof SETTINGS)[number];

function settings({ env, asker, rest }: Call): Promise<ChatAnswer> | ChatAnswer {
  if (rest === "") return showSettings(env, asker);
  return withRead("settings", onlyOptions(rest, SETTINGS), (options) => {
    const change: SettingsChange = {};
    for (const name of SETTINGS) {
      const value = options[name];
      if (value !== undefined && !setOption(change, name, value))
        return unreadable("settings", `${name}=${beginningOf(value, 64)} is not understood`);
    }
    return setChannel(env, asker, change);
  });
}

/** False: the value is none of this setting's. An empty or `none` one takes a folder or project away. */
function setOption(change: SettingsChange, name: SettingName, value: string): boolean {
  const on = switchWord(value);
  const text = value === "" || value === "none" ? null : value;
  const output = OUTPUT_MODES.find((known) => known === value);
  const session = SESSION_POLICIES.find((known) => known === value);
  switch (name) {
    case "topics":
      return set(on, (given) => (change.threads = given));
    case "safe":
      return set(on, (given) => (change.safe = given));
    case "prompts":
      return set(on, (given) => (change.prompts = given));
    case "output":
      return set(output, (given) => (change.output = given));
    case "session":
      return set(session, (given) => (change.session = given));
    // One takes the place of the other.
    case "project":
      return set(text, (given) => Object.assign(change, { project: given, workdir: null }));
    case "workdir":
      return set(text, (given) => Object.assign(change, { project: null, workdir: given }));
    case "unfollow":
      return set({ flows: [value], types: [value] }, (given) => (change.unfollow = given));
  }
}

function set<T>(value: T | undefined, keep: (value: T) => unknown): boolean {
  if (value === undefined) return false;
  keep(value);
  return true;
}

/** `/roles`, `/roles <user id> <scopes>`, or as a reply to somebody's message `/roles <scopes>`. */
function roles({ env, asker, rest, repliedTo }: Call): Promise<ChatAnswer> | ChatAnswer {
  const words = wordsOf(rest.replaceAll(",", " "));
  if (words.length === 0) return listGrants(env, asker);
  const named = /^\d{1,20}$/.test(words[0] ?? "") ? words.shift() : repliedTo?.user?.id;
  if (named === undefined)
    return unreadable("roles", "say whose: a user's id, or reply to a message of theirs");
  const deny = words.includes("deny");
  const scopes = CHAT_SCOPES.filter((scope) => words.includes(scope));
  const unknown = words.filter((word) => !["deny", "none", ...scopes].includes(word));
  if (unknown.length > 0 || words.length === 0)
    return unreadable("roles", `scopes are ${CHAT_SCOPES.join(", ")}; or say none, or deny`);
  return setGrant(env, asker, `user:${named}`, deny ? { scopes: [], deny } : { scopes });
}

function unreadable(name: TelegramCommandName, fault: string): ChatAnswer {
  return refused("unreadable", usageOf(name), [fault]);
}

async function withRead<T>(
  name: TelegramCommandName,
  read: Read<T>,
  act: (value: T) => Promise<ChatAnswer> | ChatAnswer,
): Promise<ChatAnswer> {
  return read.ok ? act(read.value) : unreadable(name, read.fault);
}

/** For a command that takes a run and nothing else. */
function withRun(
  name: TelegramCommandName,
  call: Call,
  act: (call: Call, runId: string) => Promise<ChatAnswer> | ChatAnswer,
): Promise<ChatAnswer> {
  return withRead(name, onlyRun(call.rest), async () =>
    act(call, await runMeant(call.env, call.asker, call.runId)),
  );
}
