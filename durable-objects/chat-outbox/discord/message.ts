/**
 * A message as Discord draws it: one container of Components V2, its colour from the tone. Used for messages of the
 * bot and for answers to interactions alike.
 *
 * 1. Within Discord's limits whatever is asked for: 4,000 characters over all texts, 40 components, 5 rows of 5.
 * 2. Nobody is rung but those that `mention` names, by an edit neither: `allowed_mentions` is in every body.
 * 3. Texts stay what they are: markdown in them is escaped, but in a body it is rendered; code cannot leave its fence, and
 *    nothing in them is invisible.
 */
import type { ChatMessage, ChatTone } from "../../../contract/chat/message.ts";
import {
  beginning,
  cut,
  drawContent,
  ELLIPSIS,
  ending,
  flat,
  pagesOf,
  visibleMessage,
  type Pen,
} from "../drawing.ts";
import { isAddress, markdownLine, type Span } from "../markdown.ts";

/** Characters over all text displays of a message. */
export const DISCORD_TEXT_MAX_CHARS = 4_000;
export const DISCORD_COMPONENTS_V2 = 1 << 15;
export const DISCORD_SUPPRESS_NOTIFICATIONS = 1 << 12;

const TITLE_MAX_CHARS = 256;
const FIELD_NAME_MAX_CHARS = 64;
const FIELD_VALUE_MAX_CHARS = 256;
const FIELDS_MAX_CHARS = 1_000;
/** What code gets before lines do. */
const CODE_RESERVED_CHARS = 1_500;
const LABEL_MAX_CHARS = 80;
const URL_MAX_CHARS = 512;
const ROWS_MAX = 5;
const BUTTONS_PER_ROW = 5;
const LINKS_MAX = 5;
const MENTIONS_MAX = 20;
const MS_PER_SECOND = 1000;

const COLOURS: Record<ChatTone, number | undefined> = {
  neutral: undefined,
  queued: 0x99aab5,
  running: 0x3498db,
  waiting: 0xf1c40f,
  good: 0x2ecc71,
  attention: 0xe67e22,
  bad: 0xe74c3c,
  stopped: 0x607d8b,
};
const STYLES = { primary: 1, secondary: 2, success: 3, danger: 4 } as const;
const LINK_STYLE = 5;
const TYPE = { row: 1, button: 2, text: 10, container: 17 } as const;

/** What a body for Discord always has; `flags` says Components V2, and that nobody's device rings. */
export interface DiscordBody {
  flags: number;
  components: object[];
  allowed_mentions: { parse: []; users?: string[] };
}

/** Draws a message; what does not fit is left out, and it shows. */
export function drawDiscord(given: ChatMessage): { body: DiscordBody } {
  const message = visibleMessage(given);
  const { code } = message;
  const mentions = [...new Set(message.mention ?? [])].slice(0, MENTIONS_MAX);
  const ring = mentions.map((user) => `<@${user}>`).join(" ");
  const head = headOf(message);
  const foot = footOf(message);
  const rest = DISCORD_TEXT_MAX_CHARS - ring.length - joinedLength(head, foot);
  const lines = drawContent(message, rest - reservedFor(message), PEN);
  const codeCost = (text: string): number => PEN.codeCost(text, code?.language);
  const end = code === undefined ? "" : ending(code.text, rest - lines.length - 1, codeCost);
  const text = [head, lines, foot].filter((part) => part !== "").join("\n");
  const color = COLOURS[message.tone];
  const container = {
    type: TYPE.container,
    ...(color === undefined ? {} : { accent_color: color }),
    components: [
      ...textDisplay(text),
      ...textDisplay(end === "" ? "" : PEN.code(end, code?.language)),
      ...buttonRows(message),
      ...linkRow(message),
    ],
  };
  return {
    body: {
      flags: DISCORD_COMPONENTS_V2 | (message.silent === true ? DISCORD_SUPPRESS_NOTIFICATIONS : 0),
      components: [...textDisplay(ring), container],
      allowed_mentions: { parse: [], ...(mentions.length === 0 ? {} : { users: mentions }) },
    },
  };
}

/** The message, or as many of them as its lines need. */
export function discordPages(given: ChatMessage): ChatMessage[] {
  const message = visibleMessage(given);
  const fixed = joinedLength(headOf(message), footOf(message)) + PAGE_NUMBER_CHARS + ringChars(message);
  return pagesOf(message, DISCORD_TEXT_MAX_CHARS - fixed - reservedFor(message), PEN);
}

/** ` (12/34)` behind a title, and escapes in it. */
const PAGE_NUMBER_CHARS = 24;

function ringChars({ mention = [] }: ChatMessage): number {
  return mention.slice(0, MENTIONS_MAX).reduce((sum, user) => sum + user.length + "<@> ".length, 0);
}

function headOf({ title }: ChatMessage): string {
  const oneLine = flat(title);
  if (oneLine === "") return "";
  return `### ${shortened(oneLine, TITLE_MAX_CHARS)}`;
}

function footOf({ fields = [], since }: ChatMessage): string {
  const drawn: string[] = [];
  let left = FIELDS_MAX_CHARS;
  for (const { name, value } of fields) {
    const field = `**${shortened(flat(name), FIELD_NAME_MAX_CHARS)}** ${shortened(flat(value), FIELD_VALUE_MAX_CHARS)}`;
    left -= field.length + FIELD_GAP.length;
    if (left < 0) break;
    drawn.push(field);
  }
  const time = since === undefined ? "" : `-# <t:${Math.floor(since / MS_PER_SECOND)}:R>`;
  return [drawn.join(FIELD_GAP), time].filter((part) => part !== "").join("\n");
}

const FIELD_GAP = " · ";

function reservedFor({ code }: ChatMessage): number {
  return code === undefined ? 0 : Math.min(PEN.codeCost(code.text, code.language), CODE_RESERVED_CHARS) + 1;
}

function joinedLength(...parts: string[]): number {
  return parts.reduce((sum, part) => sum + part.length + 1, 0);
}

function textDisplay(content: string): object[] {
  return content.trim() === "" ? [] : [{ type: TYPE.text, content }];
}

/** Two buttons with the same custom_id are refused: the first one stays. */
function buttonRows({ buttons = [] }: ChatMessage): object[] {
  const seen = new Set<string>();
  return buttons
    .slice(0, ROWS_MAX)
    .map((row) =>
      row
        .filter(({ action, label }) => {
          if (action === "" || label.trim() === "" || seen.has(action)) return false;
          seen.add(action);
          return true;
        })
        .slice(0, BUTTONS_PER_ROW)
        .map(({ label, style, action }) => ({
          type: TYPE.button,
          style: STYLES[style],
          label: cut(label, LABEL_MAX_CHARS),
          custom_id: action,
        })),
    )
    .filter((row) => row.length > 0)
    .map((components) => ({ type: TYPE.row, components }));
}

function linkRow({ links = [] }: ChatMessage): object[] {
  const components = links
    .filter(
      ({ url, label }) => /^https?:\/\//.test(url) && url.length <= URL_MAX_CHARS && label.trim() !== "",
    )
    .slice(0, LINKS_MAX)
    .map(({ label, url }) => ({
      type: TYPE.button,
      style: LINK_STYLE,
      label: cut(label, LABEL_MAX_CHARS),
      url,
    }));
  return components.length === 0 ? [] : [{ type: TYPE.row, components }];
}

/** Escaped, and no longer than that when it is. */
function shortened(text: string, most: number): string {
  if (escapeMarkdown(text).length <= most) return escapeMarkdown(text);
  return escapeMarkdown(beginning(text, most, (part) => escapeMarkdown(part + ELLIPSIS).length) + ELLIPSIS);
}

const URL_IN_TEXT = /https?:\/\/[^\s<>\\`*|~"]+/g;
const MARKS = /[\\*_~|`<>[\]#@]/g;
/** Marks of lists, which count only at the beginning of a line. */
const LIST_MARK = /^(\s*)([-+]|\d+(?=\.))(?=[\s#.])/;

/** One line as Discord shows it unchanged. An address stays as it is: an escape in it would break it. */
export function escapeMarkdown(line: string): string {
  let escaped = "";
  let at = 0;
  for (const { 0: url, index } of line.matchAll(URL_IN_TEXT)) {
    escaped += line.slice(at, index).replaceAll(MARKS, "\\$&") + url;
    at = index + url.length;
  }
  escaped += line.slice(at).replaceAll(MARKS, "\\$&");
  return escaped.replace(LIST_MARK, (_all, space: string, mark: string) =>
    /\d/.test(mark) ? `${space}${mark}\\` : `${space}\\${mark}`,
  );
}

function fenced(text: string, language = ""): string {
  return `\`\`\`${/^[\w+#.-]*$/.test(language) ? language : ""}\n${unfenced(text)}\n\`\`\``;
}

/** A space of no width between backticks: three of them would begin or end a fence. */
function unfenced(text: string): string {
  return text.replaceAll("``", "`\u200b`\u200b");
}

/** A line of an agent's Markdown in Discord's own. Text in it is escaped, so nothing in it mentions anybody. */
export function discordMarkdown(line: string): string {
  const { kind, indent, spans } = markdownLine(line);
  const text = spans.map(drawSpan).join("");
  switch (kind) {
    case "rule":
      return RULE_LINE;
    case "heading":
      return text === "" || spans.some((span) => span.kind === "strong") ? text : `**${text}**`;
    case "bullet":
      return `${indent}- ${text}`;
    case "quote":
      return `> ${text}`;
    case "paragraph":
      return text;
  }
}

const RULE_LINE = "———";

function drawSpan(span: Span): string {
  switch (span.kind) {
    case "text":
      return escapeMarkdown(span.text);
    case "code":
      return span.text.includes("`") ? `\`\` ${unfenced(span.text)} \`\`` : `\`${span.text}\``;
    case "link":
      return drawLink(span);
    case "strong":
      return `**${span.spans.map(drawSpan).join("")}**`;
    case "emphasis":
      return `*${span.spans.map(drawSpan).join("")}*`;
    case "strike":
      return `~~${span.spans.map(drawSpan).join("")}~~`;
  }
}

/** The address is always shown: a link must not claim to lead elsewhere. */
function drawLink({ text, target }: Extract<Span, { kind: "link" }>): string {
  if (!isAddress(target))
    return text === target ? escapeMarkdown(text) : escapeMarkdown(`${text} (${target})`);
  return text === target ? `<${target}>` : `${escapeMarkdown(text)} (<${target}>)`;
}

const PEN: Pen = {
  text: escapeMarkdown,
  textCost: (line) => escapeMarkdown(line).length,
  markdown: discordMarkdown,
  markdownCost: (line) => discordMarkdown(line).length,
  code: fenced,
  codeCost: (text, language) => fenced(text, language).length,
};
