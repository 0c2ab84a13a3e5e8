/** What Discord refuses in a command although its OpenAPI allows it. Pure. */
import type { BrokenRule } from "./message-rules.ts";

interface CommandOption {
  type: number;
  name: string;
  description: string;
  required?: boolean | null;
  autocomplete?: boolean | null;
  choices?: Array<{ name: string; value: string | number }> | null;
  options?: CommandOption[] | null;
}

/** After its schema was checked. */
export interface CommandBody {
  type?: number | null;
  name: string;
  description?: string | null;
  options?: CommandOption[] | null;
  contexts?: number[] | null;
  integration_types?: number[] | null;
  default_member_permissions?: string | number | null;
}

const CHAT_INPUT = 1;
const SUBCOMMAND = 1;
const SUBCOMMAND_GROUP = 2;
const COMMAND_CHARS = 8_000;
/** Of each type, in one scope. */
const COMMANDS: Record<number, number> = { 1: 100, 2: 15, 3: 15 };
const NAME = /^[-_'\p{L}\p{N}\p{sc=Deva}\p{sc=Thai}]{1,32}$/u;

export function brokenCommandRules(commands: CommandBody[], global: boolean): BrokenRule[] {
  const broken: BrokenRule[] = [];
  const seen = new Set<string>();
  for (const [index, command] of commands.entries()) {
    const type = command.type ?? CHAT_INPUT;
    const at = [String(index)];
    const key = `${type} ${command.name}`;
    if (seen.has(key))
      broken.push({ rule: "command_duplicate", path: [...at, "name"], message: "names must be unique" });
    seen.add(key);
    broken.push(...brokenCommand(command, type, at));
    if (!global && (command.contexts ?? command.integration_types ?? undefined) !== undefined)
      broken.push({
        rule: "command_scope",
        path: [...at, "contexts"],
        message: "contexts and integration_types are for global commands only",
      });
  }
  for (const [type, most] of Object.entries(COMMANDS))
    if (commands.filter((one) => (one.type ?? CHAT_INPUT) === Number(type)).length > most)
      broken.push({ rule: "command_count", path: [], message: `at most ${most} commands of type ${type}` });
  return broken;
}

function brokenCommand(command: CommandBody, type: number, at: string[]): BrokenRule[] {
  const broken: BrokenRule[] = [];
  const described = (command.description ?? "") !== "";
  if (type === CHAT_INPUT && !described)
    broken.push({
      rule: "command_description",
      path: [...at, "description"],
      message: "This field is required",
    });
  if (type !== CHAT_INPUT && (described || (command.options ?? []).length > 0))
    broken.push({
      rule: "command_description",
      path: [...at, "description"],
      message: "context menu commands have no description and no options",
    });
  if (type === CHAT_INPUT && !isName(command.name))
    broken.push({ rule: "command_name", path: [...at, "name"], message: "Command name is invalid" });
  if (charsOf(command) > COMMAND_CHARS)
    broken.push({ rule: "command_size", path: at, message: `at most ${COMMAND_CHARS} characters in all` });
  broken.push(...brokenOptions(command.options ?? [], [...at, "options"]));
  return broken;
}

function brokenOptions(options: CommandOption[], at: string[]): BrokenRule[] {
  const broken: BrokenRule[] = [];
  const nests = ({ type }: CommandOption): boolean => type === SUBCOMMAND || type === SUBCOMMAND_GROUP;
  if (options.some(nests) && !options.every(nests))
    broken.push({ rule: "option_mixture", path: at, message: "Sub-commands and options cannot be mixed" });
  let optional = false;
  const seen = new Set<string>();
  for (const [index, option] of options.entries()) {
    const path = [...at, String(index)];
    if (!isName(option.name))
      broken.push({ rule: "command_name", path: [...path, "name"], message: "Option name is invalid" });
    if (seen.has(option.name))
      broken.push({
        rule: "option_duplicate",
        path: [...path, "name"],
        message: "Option names must be unique",
      });
    seen.add(option.name);
    if (option.required === true && optional)
      broken.push({
        rule: "option_order",
        path: [...path, "required"],
        message: "Required options must be placed before non-required options",
      });
    optional ||= !nests(option) && option.required !== true;
    if (option.autocomplete === true && (option.choices ?? []).length > 0)
      broken.push({
        rule: "option_autocomplete",
        path: [...path, "autocomplete"],
        message: "an option has choices or autocomplete, not both",
      });
    broken.push(...brokenOptions(option.options ?? [], [...path, "options"]));
  }
  return broken;
}

function isName(name: string): boolean {
  return NAME.test(name) && name === name.toLowerCase();
}

function charsOf(node: CommandBody | CommandOption): number {
  const choices = ("choices" in node ? node.choices : undefined) ?? [];
  const own = node.name.length + (node.description ?? "").length;
  const chosen = choices.reduce((sum, { name, value }) => sum + name.length + String(value).length, 0);
  return (node.options ?? []).reduce((sum, option) => sum + charsOf(option), own + chosen);
}

/** The spec wants an integer where the documentation, and everybody, sends a string of digits. */
export function withIntegerPermissions(body: unknown): unknown {
  if (Array.isArray(body)) return body.map(withIntegerPermissions);
  if (typeof body !== "object" || body === null) return body;
  const value = (body as Record<string, unknown>)["default_member_permissions"];
  if (typeof value !== "string" || !/^\d+$/.test(value)) return body;
  return { ...body, default_member_permissions: Number(value) };
}
