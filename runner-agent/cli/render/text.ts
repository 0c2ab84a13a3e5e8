/**
 * How single things look: statuses, times, sizes, texts that others wrote. Pure: what appears depends on the data
 * and the style alone. On a terminal times are relative; in a pipe they are ISO and nothing is coloured.
 */
import type { Colors } from "picocolors/types";
import { visibleText } from "../../../contract/visible-text.ts";

export interface Style {
  colors: Colors;
  /** A person looks at it: relative times, columns cut to the width. */
  terminal: boolean;
  /** Columns of the terminal. */
  width: number;
  /** Epoch ms that relative times count from. */
  now: number;
  /** What the user types before `codex-flow` to get it: "npx " where it was started so. */
  launcher?: string | undefined;
}

const KIB = 1024;
const MIB = 1024 * KIB;
const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** What stands before a status that somebody must look at; also readable without colours. */
const ATTENTION = "! ";

/** A process, effective, attempt or runner status in its colour. */
export function statusText(style: Style, status: string, attention = false): string {
  const { colors } = style;
  if (attention) return colors.bold(colors.red(ATTENTION + visible(status)));
  switch (status) {
    case "completed":
    case "changed":
    case "connected":
      return colors.green(status);
    case "running":
    case "signalled":
      return colors.cyan(status);
    case "queued":
    case "draining":
    case "paused":
    case "cancel_requested":
      return colors.yellow(status);
    case "failed":
    case "lost":
    case "timeout":
    case "refused":
      return colors.red(status);
    default:
      return colors.dim(visible(status));
  }
}

/** "3 min ago" on a terminal, the date itself in a pipe. */
export function timeText(style: Style, iso: string | undefined): string {
  if (iso === undefined) return "";
  const at = Date.parse(iso);
  if (!style.terminal || Number.isNaN(at)) return visible(iso);
  const distance = style.now - at;
  if (Math.abs(distance) < SECOND_MS) return "now";
  return distance > 0 ? `${coarse(distance)} ago` : `in ${coarse(-distance)}`;
}

function coarse(ms: number): string {
  if (ms < MINUTE_MS) return `${Math.floor(ms / SECOND_MS)} s`;
  if (ms < HOUR_MS) return `${Math.floor(ms / MINUTE_MS)} min`;
  if (ms < DAY_MS) return `${Math.floor(ms / HOUR_MS)} h`;
  return `${Math.floor(ms / DAY_MS)} d`;
}

/** A length of time in at most two units. */
export function durationText(ms: number): string {
  if (ms < SECOND_MS) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < MINUTE_MS) return `${(Math.floor(ms / 100) / 10).toFixed(1)} s`;
  if (ms < HOUR_MS) return `${Math.floor(ms / MINUTE_MS)} min ${Math.floor((ms % MINUTE_MS) / SECOND_MS)} s`;
  return `${Math.floor(ms / HOUR_MS)} h ${Math.floor((ms % HOUR_MS) / MINUTE_MS)} min`;
}

/** From start to end, or until now while it lasts; empty when it has not begun. */
export function elapsedText(
  style: Style,
  startedAt: string | undefined,
  endedAt: string | undefined,
): string {
  if (startedAt === undefined) return "";
  return durationText((endedAt === undefined ? style.now : Date.parse(endedAt)) - Date.parse(startedAt));
}

export function bytesText(bytes: number): string {
  if (bytes < KIB) return `${bytes} B`;
  return bytes < MIB ? `${(bytes / KIB).toFixed(1)} KiB` : `${(bytes / MIB).toFixed(1)} MiB`;
}

/** "1 run", "2 runs". */
export function countText(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

/**
 * Text that others wrote, on one line, without characters that could steer a terminal, hide, or change the order in which
 * the text reads.
 */
export function visible(text: string): string {
  return visibleText(text.replace(/\s+/g, " "));
}

/** The same with its lines kept. */
export function visibleLines(text: string): string {
  return text
    .split(/\r?\n/)
    .map((line) => visibleText(line.replaceAll("\t", "  ")))
    .join("\n");
}

/** Escape sequences that only colour: what remains of a step's sequences on a terminal. */
const COLOUR_SEQUENCE = new RegExp(`(${String.fromCharCode(27)}\\[[0-9;:]*m)`);

/** Output of a step for a terminal: lines, tabs, carriage returns and colours stay, nothing else may steer or hide. */
export function outputText(text: string): string {
  return text
    .split(COLOUR_SEQUENCE)
    .map((part, index) =>
      index % 2 === 1 && !conceals(part) ? part : part.split("\r").map(visibleText).join("\r"),
    )
    .join("");
}

/** SGR 8 prints text that nobody sees. */
const CONCEAL = 8;
/** SGR codes of an extended colour, whose own numbers follow; and how many follow for each kind of colour. */
const EXTENDED_COLOURS: readonly number[] = [38, 48, 58];
const COLOUR_NUMBERS: Readonly<Record<number, number>> = { 2: 3, 5: 1 };

/** Whether a colour sequence also hides text; `38;5;8` is a colour and hides nothing. */
function conceals(sequence: string): boolean {
  const codes = sequence.slice(2, -1).split(";");
  for (let at = 0; at < codes.length; at += 1) {
    // A code may have parameters of its own behind colons.
    const [code, ...own] = (codes[at] ?? "").split(":").map(Number);
    if (code === CONCEAL) return true;
    if (code !== undefined && EXTENDED_COLOURS.includes(code) && own.length === 0)
      at += 1 + (COLOUR_NUMBERS[Number(codes[at + 1])] ?? 0);
  }
  return false;
}

/** A word as a POSIX shell reads it back, for commands that are printed to be copied. */
export function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${visible(text).replaceAll("'", `'\\''`)}'`;
}

/**
 * A word that stands in the place of an argument, last in a command that is printed to be copied. Behind `--` it cannot be
 * read as an option, whatever its sender has written.
 */
export function argumentWord(text: string): string {
  return text.startsWith("-") ? `-- ${shellWord(text)}` : shellWord(text);
}

/** A command with the options that have a value, to be copied. */
export function commandLine(
  command: string,
  options: Readonly<Record<string, string | number | boolean | undefined>>,
): string {
  const given = Object.entries(options).flatMap(([name, value]) => {
    if (value === undefined || value === false) return [];
    return value === true ? [`--${name}`] : [`--${name}${optionValue(String(value))}`];
  });
  return [command, ...given].join(" ");
}

/** The value of an option, in a form that is no option itself. */
export function optionValue(text: string): string {
  return `${text.startsWith("-") ? "=" : " "}${shellWord(text)}`;
}

/** Any JSON value, readable and harmless. */
export function jsonText(value: unknown): string {
  return visibleLines(JSON.stringify(value ?? null, null, 2));
}

/** Narrower terminals get tables with short ids and fewer columns. */
const WIDE_COLUMNS = 110;

/** Whether a table has to do with little room. In a pipe it never has: scripts get whole ids. */
export function isNarrow(style: Style): boolean {
  return style.terminal && style.width < WIDE_COLUMNS;
}

/** The style for indented lines: its width is what the indentation leaves. */
export function indented(style: Style, by = 2): Style {
  return { ...style, width: style.width - by };
}

const GRAPHEMES = new Intl.Segmenter(undefined, { granularity: "grapheme" });
/** What a terminal draws two columns wide: emoji, and the scripts and forms of East Asia. */
const WIDE =
  /\p{Emoji_Presentation}|\uFE0F|\p{Script=Han}|\p{Script=Hangul}|\p{Script=Hiragana}|\p{Script=Katakana}|[\u3000-\u303E\uFF01-\uFF60\uFFE0-\uFFE6]/u;

/** Columns that a text of one line takes on a terminal. */
export function columnsOf(text: string): number {
  let columns = 0;
  for (const { segment } of GRAPHEMES.segment(text)) columns += WIDE.test(segment) ? 2 : 1;
  return columns;
}

function padColumns(text: string, columns: number): string {
  return text + " ".repeat(Math.max(0, columns - columnsOf(text)));
}

/** A text of one line, cut to a number of columns. */
export function cutText(text: string, columns: number): string {
  if (columnsOf(text) <= columns) return text;
  let cut = "";
  let used = 1;
  for (const { segment } of GRAPHEMES.segment(text)) {
    used += columnsOf(segment);
    if (used > columns) break;
    cut += segment;
  }
  return `${cut}…`;
}

/** Returns to the start of a terminal's line and clears it. */
export const ERASE_LINE = `\r${String.fromCharCode(27)}[2K`;

/** Every line moved to the right. */
export function indent(text: string, by = 2): string {
  return text.replace(/^(?=.)/gm, " ".repeat(by));
}

/** Name and value, one a line, the values in one column; empty values are left out. */
export function fields(style: Style, pairs: ReadonlyArray<readonly [name: string, value: string]>): string {
  const shown = pairs.filter(([, value]) => value !== "");
  const width = Math.max(0, ...shown.map(([name]) => name.length));
  return shown
    .map(
      ([name, value]) => `  ${style.colors.dim(name.padEnd(width))}  ${indent(value, width + 4).trimStart()}`,
    )
    .join("\n");
}

/** A heading with what belongs under it; nothing at all for an empty body. */
export function section(style: Style, heading: string, body: string): string {
  return body === "" ? "" : `${style.colors.bold(heading)}\n${body}`;
}

/** Parts with an empty line between them. */
export function paragraphs(parts: readonly string[]): string {
  return parts.filter((part) => part !== "").join("\n\n");
}

/** How to go on: commands to copy, with what each is for. */
export function nextSteps(
  style: Style,
  steps: ReadonlyArray<readonly [command: string, purpose: string]>,
): string {
  const typed = steps.map(([command, purpose]) => [`${style.launcher ?? ""}${command}`, purpose] as const);
  const width = Math.max(0, ...typed.map(([command]) => columnsOf(command)));
  const lines = typed.map(
    ([command, purpose]) => `  ${padColumns(command, width)}  ${style.colors.dim(purpose)}`,
  );
  return section(style, "next", lines.join("\n"));
}
