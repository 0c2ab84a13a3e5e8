/**
 * A message as Telegram draws it: HTML with an inline keyboard. Telegram has no colours, so a mark before the title
 * says the tone, and no counting time, so `since` is a plain one.
 *
 * 1. Within Telegram's limits whatever is asked for: 4,096 characters as they are seen, tags and escapes not counted.
 * 2. Texts stay what they are: escaped for HTML, and with nothing in them that cannot be seen. A body's Markdown is rendered.
 * 3. Only those that `mention` names are told; `silent` tells nobody's device. No text mentions anybody or offers a
 *    command to tap, whoever wrote it.
 */
import type { ChatMessage, ChatTone } from "../../../contract/chat/message.ts";
import { cut, drawContent, ELLIPSIS, ending, flat, pagesOf, visibleMessage, type Pen } from "../drawing.ts";
import { isAddress, markdownLine, type Span } from "../markdown.ts";

/** UTF-16 units of the text that is seen. */
export const TELEGRAM_TEXT_MAX_CHARS = 4_096;

const TITLE_MAX_CHARS = 256;
const FIELD_NAME_MAX_CHARS = 64;
const FIELD_VALUE_MAX_CHARS = 256;
const FIELDS_MAX_CHARS = 1_000;
const CODE_RESERVED_CHARS = 1_500;
const LABEL_MAX_CHARS = 64;
const URL_MAX_CHARS = 2_000;
const CALLBACK_MAX_BYTES = 64;
const ROWS_MAX = 5;
const BUTTONS_PER_ROW = 5;
const LINKS_MAX = 5;
/** Telegram tells no more than a few of those that are named in one message. */
const MENTIONS_MAX = 5;
const MENTION_MARK = "🔔";

const MARKS: Record<ChatTone, string> = {
  neutral: "",
  queued: "⚪",
  running: "🔵",
  waiting: "🟡",
  good: "🟢",
  attention: "🟠",
  bad: "🔴",
  stopped: "⚫",
};

interface InlineButton {
  text: string;
  callback_data?: string;
  url?: string;
  style?: "primary" | "success" | "danger";
}

/** Fields of sendMessage, and of editMessageText but for `disable_notification`. */
export interface TelegramBody {
  text: string;
  parse_mode: "HTML";
  link_preview_options: { is_disabled: true };
  disable_notification?: boolean;
  reply_markup?: { inline_keyboard: InlineButton[][] };
}

/** Draws a message; what does not fit is left out, and it shows. */
export function drawTelegram(given: ChatMessage): { body: TelegramBody } {
  const message = visibleMessage(given);
  const { code } = message;
  const head = headOf(message);
  const foot = footOf(message);
  const rest = TELEGRAM_TEXT_MAX_CHARS - fixedChars(message);
  const budget = rest - reservedFor(message);
  const lines = drawContent(message, budget, PEN);
  const codeRoom = rest - seenLength(lines) - 1;
  const end = code === undefined ? "" : ending(code.text, codeRoom, (text) => text.length);
  const text = [head.drawn, lines, foot.drawn, end === "" ? "" : PEN.code(end, code?.language)]
    .filter((part) => part !== "")
    .join("\n");
  const keyboard = keyboardOf(message);
  return {
    body: {
      // A text that shows nothing is refused.
      text: text.replaceAll(/<[^>]*>/g, "").trim() === "" ? ELLIPSIS : text,
      parse_mode: "HTML",
      link_preview_options: { is_disabled: true },
      ...(message.silent === true ? { disable_notification: true } : {}),
      ...(keyboard.length === 0 ? {} : { reply_markup: { inline_keyboard: keyboard } }),
    },
  };
}

/** The message, or as many of them as its lines need. */
export function telegramPages(given: ChatMessage): ChatMessage[] {
  const message = visibleMessage(given);
  const budget = TELEGRAM_TEXT_MAX_CHARS - fixedChars(message) - PAGE_NUMBER_CHARS - reservedFor(message);
  return pagesOf(message, budget, PEN);
}

/** ` (12/34)` behind a title. */
const PAGE_NUMBER_CHARS = 16;

/** Drawn, and as long as it is seen. */
interface Drawn {
  drawn: string;
  chars: number;
}

function headOf({ tone, title, mention = [] }: ChatMessage): Drawn {
  const oneLine = cut(flat(title), TITLE_MAX_CHARS);
  const marks = [...new Set(mention)].slice(0, MENTIONS_MAX).filter((user) => /^\d+$/.test(user));
  const before = MARKS[tone] === "" ? "" : `${MARKS[tone]} `;
  const ring = marks.map((user) => ` <a href="tg://user?id=${user}">${MENTION_MARK}</a>`).join("");
  return {
    drawn: `${before}${textHtml(oneLine, "b")}${ring}`.trim(),
    chars: before.length + oneLine.length + marks.length * (MENTION_MARK.length + 1),
  };
}

function footOf({ fields = [], since }: ChatMessage): Drawn {
  const drawn: string[] = [];
  let chars = 0;
  for (const field of fields) {
    const name = cut(flat(field.name), FIELD_NAME_MAX_CHARS);
    const value = cut(flat(field.value), FIELD_VALUE_MAX_CHARS);
    const more = name.length + value.length + FIELD_GAP.length + 1;
    if (chars + more > FIELDS_MAX_CHARS) break;
    chars += more;
    drawn.push(`${textHtml(name, "b")} ${textHtml(value)}`);
  }
  const time = since === undefined ? "" : `since ${timeOf(since)}`;
  return {
    drawn: [drawn.join(FIELD_GAP), time].filter((part) => part !== "").join("\n"),
    chars: chars + time.length + 1,
  };
}

const FIELD_GAP = " · ";

/** `2026-11-21 12:03 UTC` */
function timeOf(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 16).replace("T", " ")} UTC`;
}

function fixedChars(message: ChatMessage): number {
  return headOf(message).chars + footOf(message).chars + 4;
}

function reservedFor({ code }: ChatMessage): number {
  return code === undefined ? 0 : Math.min(code.text.length, CODE_RESERVED_CHARS) + 1;
}

function keyboardOf({ buttons = [], links = [] }: ChatMessage): InlineButton[][] {
  const rows = buttons.slice(0, ROWS_MAX).map((row) =>
    row
      .filter(({ label, action }) => label.trim() !== "" && fitsCallback(action))
      .slice(0, BUTTONS_PER_ROW)
      .map(({ label, style, action }) => ({
        text: cut(label, LABEL_MAX_CHARS),
        callback_data: action,
        ...(style === "secondary" ? {} : { style }),
      })),
  );
  const urls = links
    .filter(
      ({ url, label }) => /^https?:\/\//.test(url) && url.length <= URL_MAX_CHARS && label.trim() !== "",
    )
    .slice(0, LINKS_MAX)
    .map(({ label, url }) => ({ text: cut(label, LABEL_MAX_CHARS), url }));
  return [...rows, urls].filter((row) => row.length > 0);
}

function fitsCallback(action: string): boolean {
  return action !== "" && new TextEncoder().encode(action).length <= CALLBACK_MAX_BYTES;
}

/** Text as Telegram's HTML shows it unchanged. */
export function escapeHtml(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}

/** What Telegram would make a link of its own: addresses, which may; and mentions and commands, which may not. */
const LINKED = /(?<address>\bhttps?:\/\/\S+)|(?<!\w)@\w{2,}|(?<![\w/<>])\/\w{1,64}(?:@\w{2,64})?(?![\w/<>])/g;

/**
 * Plain text in HTML, bold where `tag` says so. Telegram turns `@name` and `/command` into a mention that rings and a
 * command that one tap sends, whoever wrote them. Drawn as code they are neither, and are still copied as they are.
 */
export function textHtml(text: string, tag?: "b"): string {
  const plain = (part: string): string => {
    if (part === "" || tag === undefined) return escapeHtml(part);
    return `<${tag}>${escapeHtml(part)}</${tag}>`;
  };
  let html = "";
  let at = 0;
  for (const { 0: found, index, groups } of text.matchAll(LINKED)) {
    if (groups?.["address"] !== undefined) continue;
    // Code inside of bold is not allowed (Bot API, "Formatting options").
    html += `${plain(text.slice(at, index))}<code>${escapeHtml(found)}</code>`;
    at = index + found.length;
  }
  return html + plain(text.slice(at));
}

/** How long drawn text is when it is seen: without tags, each escape as the one character that it stands for. */
export function seenLength(html: string): number {
  return html.replaceAll(/<[^>]*>/g, "").replaceAll(/&(?:amp|lt|gt|quot);/g, "&").length;
}

/** A line of an agent's Markdown as Telegram's HTML. */
export function telegramMarkdown(line: string): string {
  const { kind, indent, spans } = markdownLine(line);
  const text = spans.map(drawSpan).join("");
  switch (kind) {
    case "rule":
      return RULE_LINE;
    case "heading":
      return drawStrong(spans);
    case "bullet":
      return `${indent}• ${text}`;
    case "quote":
      return `&gt; ${text}`;
    case "paragraph":
      return text;
  }
}

const RULE_LINE = "———";

function drawSpan(span: Span): string {
  switch (span.kind) {
    case "text":
      return textHtml(span.text);
    case "code":
      return `<code>${escapeHtml(span.text)}</code>`;
    case "link":
      return drawLink(span);
    case "strong":
      return drawStrong(span.spans);
    case "emphasis":
      return drawTagged("i", span.spans);
    case "strike":
      return drawTagged("s", span.spans);
  }
}

/** Bold piece by piece, since Telegram allows no code inside of bold. */
function drawStrong(spans: readonly Span[]): string {
  return spans.map((span) => (span.kind === "text" ? textHtml(span.text, "b") : drawSpan(span))).join("");
}

function drawTagged(tag: "i" | "s", spans: readonly Span[]): string {
  const inside = spans.map(drawSpan).join("");
  return inside.includes("<code>") ? inside : `<${tag}>${inside}</${tag}>`;
}

/** The address is always shown: a link must not claim to lead elsewhere. */
function drawLink({ text, target }: Extract<Span, { kind: "link" }>): string {
  const address = escapeHtml(target);
  const link = isAddress(target) ? `<a href="${address}">${address}</a>` : address;
  return text === target ? link : `${textHtml(text)} (${link})`;
}

const PEN: Pen = {
  text: (line) => textHtml(line),
  textCost: (line) => line.length,
  markdown: telegramMarkdown,
  markdownCost: (line) => seenLength(telegramMarkdown(line)),
  code: (text, language) =>
    language !== undefined && /^[\w+#.-]+$/.test(language)
      ? `<pre><code class="language-${language}">${escapeHtml(text)}</code></pre>`
      : `<pre>${escapeHtml(text)}</pre>`,
  codeCost: (text) => text.length,
};
