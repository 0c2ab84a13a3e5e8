/**
 * The words behind a command, read. Pure, and it never throws: what cannot be read is a fault that says how it is written.
 * Nothing here knows what a command does.
 */
import { shortened } from "../../contract/chat/short-text.ts";
import { parseRunId } from "../../contract/ids.ts";
import { TELEGRAM_COMMANDS, type TelegramCommandName } from "../../contract/chat/telegram-commands.ts";

/** What was read, or what is wrong in words. */
export type Read<T> = { ok: true; value: T } | { ok: false; fault: string };

/** Groups of Discord's commands, which are words here: `/flow dispatch …`, `/codex ask …`. */
const GROUPS = ["flow", "codex", "run"];

/** The command that is meant; of a group, its first word is the command. Undefined: none of ours. */
export function chooseCommand(
  name: string,
  rest: string,
): { name: TelegramCommandName; rest: string } | undefined {
  if (GROUPS.includes(name)) {
    const [word, more] = firstWord(rest);
    return word === "" || GROUPS.includes(word) ? undefined : chooseCommand(plainName(word), more);
  }
  if (name === "start") return { name: "help", rest: "" };
  const known = TELEGRAM_COMMANDS.find((command) => command.name === name);
  return known && { name: known.name, rest };
}

/** `dry-run` on Discord is `dryrun` here. */
function plainName(word: string): string {
  return word.toLowerCase().replaceAll(/[-_]/g, "");
}

/** How a command is written, for an answer to one that cannot be read. */
export function usageOf(name: TelegramCommandName): string {
  const { usage } = TELEGRAM_COMMANDS.find((command) => command.name === name) ?? { usage: "" };
  return usage === "" ? `/${name}` : `/${name} ${usage}`;
}

/** The first word and what is behind it. */
export function firstWord(text: string): [word: string, rest: string] {
  const [, word = "", rest = ""] = /^\s*(\S*)\s*([\s\S]*)$/.exec(text) ?? [];
  return [word, rest];
}

/** Words between white space. */
export function wordsOf(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== "");
}

/** A run's id as the first word, and what is behind it. Without one, everything is behind it. */
export function leadingRun(text: string): { runId?: string; rest: string } {
  const [word, rest] = firstWord(text);
  return parseRunId(word) === undefined ? { rest: text.trim() } : { runId: word, rest };
}

/** At most one word, which is a run's id. */
export function onlyRun(text: string): Read<{ runId?: string }> {
  const { runId, rest } = leadingRun(text);
  if (rest !== "") return fault(`${shown(rest)} is no id of a run`);
  return { ok: true, value: runId === undefined ? {} : { runId } };
}

/** A run's id and an approval's, both optional; a single word may be either. */
export function runAndApproval(text: string): Read<{ runId?: string; approval?: string }> {
  const { runId, rest } = leadingRun(text);
  const [approval = "", ...more] = wordsOf(rest);
  if (more.length > 0) return fault(`${shown(more.join(" "))} is one word too many`);
  if (approval !== "" && !/^[A-Za-z0-9_-]{1,64}$/.test(approval))
    return fault(`${shown(approval)} is no id of an approval`);
  return {
    ok: true,
    value: { ...(runId === undefined ? {} : { runId }), ...(approval === "" ? {} : { approval }) },
  };
}

/** An event's type, and its payload as JSON in words, empty when absent. */
export function typeAndPayload(text: string): Read<{ type: string; payload: string }> {
  const [type, json] = firstWord(text);
  if (type === "") return fault("the type of the event is missing");
  return { ok: true, value: { type, payload: isJson(json) ? json : straightQuotes(json) } };
}

/** Phones write “…” where "…" is typed. */
function straightQuotes(json: string): string {
  return json.replaceAll(/[“”„]/g, '"');
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** Leading words `key=value` with one of these keys, and the text behind them. A value in double quotes may hold spaces. */
export function leadingOptions<Key extends string>(
  text: string,
  keys: readonly Key[],
): { options: Partial<Record<Key, string>>; rest: string } {
  const options: Partial<Record<Key, string>> = {};
  let rest = text.trim();
  for (;;) {
    const [whole, name, quoted, bare] = /^([a-z_]+)=(?:"([^"]*)"|(\S+))(?:\s+|$)/.exec(rest) ?? [];
    const key = keys.find((known) => known === name);
    if (whole === undefined || key === undefined) return { options, rest };
    options[key] = quoted ?? bare ?? "";
    rest = rest.slice(whole.length);
  }
}

/** Only words `key=value`, each with one of these keys. */
export function onlyOptions<Key extends string>(
  text: string,
  keys: readonly Key[],
): Read<Partial<Record<Key, string>>> {
  const { options, rest } = leadingOptions(text, keys);
  if (rest !== "")
    return fault(`${shown(firstWord(rest)[0])} is not understood; it takes ${keys.join(", ")}`);
  return { ok: true, value: options };
}

/** Lists behind names: `flows a, b types c`, or `flows=a,b types=c`. Names that are absent stay undefined. */
export function namedLists<Name extends string>(
  text: string,
  names: readonly Name[],
): Read<Partial<Record<Name, string[]>>> {
  const lists: Partial<Record<Name, string[]>> = {};
  let current: Name | undefined;
  for (const word of text.split(/[\s,=]+/).filter((part) => part !== "")) {
    const name = names.find((known) => known === word.toLowerCase());
    if (name !== undefined) {
      current = name;
      lists[name] ??= [];
    } else if (current === undefined) return fault(`say what ${shown(word)} is: ${names.join(" or ")}`);
    else lists[current] = [...(lists[current] ?? []), word];
  }
  return { ok: true, value: lists };
}

/** `on`, `yes`, `true`… Undefined for other words. */
export function switchWord(word: string): boolean | undefined {
  if (/^(on|yes|true|1|enable|enabled|activate)$/i.test(word)) return true;
  return /^(off|no|false|0|disable|disabled|deactivate)$/i.test(word) ? false : undefined;
}

/** A number above 0 as people write one. */
export function positiveNumber(word: string): number | undefined {
  const value = /^\+?[0-9]{1,12}(\.[0-9]{1,6})?$/.test(word) ? Number(word) : Number.NaN;
  return value > 0 ? value : undefined;
}

const SHOWN_MAX_CHARS = 64;

/** Words of others in an answer: short, on one line. */
function shown(text: string): string {
  const line = text.replaceAll(/\s+/g, " ");
  return `"${shortened(line, SHOWN_MAX_CHARS)}"`;
}

function fault<T>(text: string): Read<T> {
  return { ok: false, fault: text };
}
