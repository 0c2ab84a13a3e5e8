/**
 * What both platforms share when a message is drawn: its lines as blocks, and how they are made to fit.
 *
 * Lines are plain text and a body is Markdown (markdown.ts); in both, lines between two fences of backticks are code.
 * A platform says with its pen how a line and a piece of code are drawn and what they
 * cost of its limit; here is decided what is shown (`drawLines` cuts) or how it is spread over several messages
 * (`pagesOf` loses nothing). A fence is never left open: each piece of code gets its own.
 */
import type { ChatMessage } from "../../contract/chat/message.ts";
import { visibleText, withoutColours } from "../../contract/visible-text.ts";

/** How a platform writes. Costs are in its own unit, the one that its limit counts. */
export interface Pen {
  /** One line of plain text, escaped. */
  text(line: string): string;
  textCost(line: string): number;
  /** One line of Markdown, rendered. */
  markdown(line: string): string;
  markdownCost(line: string): number;
  code(text: string, language?: string): string;
  codeCost(text: string, language?: string): number;
}

/** `body`: it belongs to the message's Markdown, not to its plain lines. */
export type Block =
  | { kind: "text"; line: string; body?: true }
  | { kind: "code"; text: string; language?: string; body?: true };

const FENCE = /^\s*(`{3,}|~{3,})\s*([\w+#.-]*)[^`]*$/;
/** Drawn where something is left out. */
export const ELLIPSIS = "…";
/** Between two blocks. */
const NEWLINE = 1;

/** Lines as blocks. A fence that is never closed reaches to the end. */
export function blocksOf(lines: readonly string[]): Block[] {
  const blocks: Block[] = [];
  let open: { fence: string; language: string; lines: string[] } | undefined;
  const close = (): void => {
    if (open === undefined) return;
    const { language, lines: inside } = open;
    open = undefined;
    const text = inside.join("\n");
    // Agents leave fences empty, and Telegram takes no message that shows nothing.
    if (text.trim() !== "") blocks.push({ kind: "code", text, ...(language === "" ? {} : { language }) });
  };
  for (const line of lines.flatMap((text) => text.split(/\r?\n/))) {
    const [, fence, language = ""] = FENCE.exec(line) ?? [];
    if (open === undefined) {
      if (fence === undefined) blocks.push({ kind: "text", line });
      else open = { fence, language, lines: [] };
    } else if (fence !== undefined && language === "" && fence.startsWith(open.fence)) close();
    else open.lines.push(line);
  }
  close();
  return blocks;
}

/** Everything of a message that is drawn between its head and its foot. */
function contentOf({ lines = [], body }: ChatMessage): Block[] {
  const written = body === undefined || body === "" ? [] : blocksOf([body]);
  return [...blocksOf(lines), ...written.map((block): Block => ({ ...block, body: true }))];
}

/** The longest beginning that costs no more than `budget`; never half of a character that takes two units. */
export function beginning(text: string, budget: number, cost: (text: string) => number): string {
  if (cost(text) <= budget) return text;
  return text.slice(
    0,
    longest(text.length, (length) => cost(text.slice(0, whole(text, length))) <= budget, text),
  );
}

/** At most so many UTF-16 units; what is left out shows. */
export function cut(text: string, most: number): string {
  return text.length <= most
    ? text
    : beginning(text, most, (part) => part.length + ELLIPSIS.length) + ELLIPSIS;
}

/**
 * The message as a person may read it: all texts of it that others may have written pass the filter for visible text
 * (contract/visible-text.ts). Colours of a program's output are left out, since no chat shows them.
 */
export function visibleMessage(message: ChatMessage): ChatMessage {
  const { title, lines, body, fields, code, buttons, links } = message;
  return {
    ...message,
    title: readable(title),
    ...(lines === undefined ? {} : { lines: lines.map(readable) }),
    ...(body === undefined ? {} : { body: readable(body) }),
    ...(fields === undefined
      ? {}
      : { fields: fields.map(({ name, value }) => ({ name: readable(name), value: readable(value) })) }),
    ...(code === undefined ? {} : { code: { ...code, text: readable(code.text) } }),
    ...(buttons === undefined ? {} : { buttons: buttons.map((row) => row.map(withReadableLabel)) }),
    ...(links === undefined ? {} : { links: links.map(withReadableLabel) }),
  };
}

function withReadableLabel<Labelled extends { label: string }>(labelled: Labelled): Labelled {
  return { ...labelled, label: readable(labelled.label) };
}

function readable(text: string): string {
  return visibleText(withoutColours(text).replaceAll(/\r\n?/g, "\n"));
}

/** Text on one line, readable. */
export function flat(text: string): string {
  return readable(text).replaceAll(/\s+/g, " ").trim();
}

/** The longest end that costs no more than `budget`, from the beginning of a line when there is one. */
export function ending(text: string, budget: number, cost: (text: string) => number): string {
  if (cost(text) <= budget) return text;
  let from = text.length;
  let low = 0;
  let high = text.length;
  while (low <= high) {
    const length = (low + high) >> 1;
    const start = text.length - length;
    if (cost(`${ELLIPSIS}\n${text.slice(start)}`) <= budget) {
      from = start;
      low = length + 1;
    } else high = length - 1;
  }
  if (isLowSurrogate(text, from)) from += 1;
  const line = text.indexOf("\n", from);
  const start = line >= 0 && line + 1 < text.length && text[from - 1] !== "\n" ? line + 1 : from;
  const kept = text.slice(start);
  return kept === "" ? "" : `${ELLIPSIS}\n${kept}`;
}

/** Lines and body of a message drawn within a budget. What does not fit is left out, and an ellipsis shows it. */
export function drawContent(message: ChatMessage, budget: number, pen: Pen): string {
  const drawn: string[] = [];
  let left = budget;
  for (const block of contentOf(message)) {
    const cost = costOf(block, pen) + NEWLINE;
    if (cost <= left) {
      drawn.push(draw(block, pen));
      left -= cost;
      continue;
    }
    const part = block.kind === "text" ? block.line : block.text;
    const room = (text: string): number => costOf(withText(block, text + ELLIPSIS), pen) + NEWLINE;
    if (room("") <= left) drawn.push(draw(withText(block, beginning(part, left, room) + ELLIPSIS), pen));
    break;
  }
  return drawn.join("\n");
}

/**
 * A message as several whose lines and body each cost no more than `budget`; itself when they fit. The first one mentions
 * people, the last one carries what belongs to the end: code, fields, links, buttons. A piece of code that is split gets
 * its own fences on each page.
 */
export function pagesOf(message: ChatMessage, budget: number, pen: Pen): ChatMessage[] {
  const pages: Block[][] = [[]];
  let left = budget;
  for (const block of contentOf(message)) {
    let rest: Block | undefined = block;
    while (rest !== undefined) {
      const cost: number = costOf(rest, pen) + NEWLINE;
      if (cost <= left) {
        pages.at(-1)?.push(rest);
        left -= cost;
        break;
      }
      // What fits a page of its own is not split, and neither is anything for the sake of a small rest of a page.
      const isSplit: boolean = cost > budget && left >= budget * SPLIT_FROM;
      const [head, tail]: (Block | undefined)[] = isSplit ? split(rest, left, pen) : [undefined, rest];
      if (head !== undefined) pages.at(-1)?.push(head);
      rest = tail;
      if (rest !== undefined) {
        pages.push([]);
        left = budget;
      }
    }
  }
  if (pages.length <= 1) return [message];
  const { tone, title, mention, silent, lines: _lines, body: _body, ...end } = message;
  return pages.map((blocks, index) => {
    const page: ChatMessage = {
      tone,
      title: `${title} (${index + 1}/${pages.length})`,
      ...contentIn(blocks),
    };
    if (index === pages.length - 1) return { ...end, ...page, silent: true };
    if (index > 0) return { ...page, silent: true };
    return {
      ...page,
      ...(mention === undefined ? {} : { mention }),
      ...(silent === undefined ? {} : { silent }),
    };
  });
}

/** The lines and the body that are read as these blocks again. */
function contentIn(blocks: readonly Block[]): Pick<ChatMessage, "lines" | "body"> {
  const body = blocks.filter((block) => block.body === true).flatMap(linesOf);
  return {
    lines: blocks.filter((block) => block.body !== true).flatMap(linesOf),
    ...(body.length === 0 ? {} : { body: body.join("\n") }),
  };
}

/** A block that is longer than a page is split where at least this share of a page is free. */
const SPLIT_FROM = 0.25;

/** A beginning of a block that fits, and the rest: code ends at a line, a line that is too long at a blank. */
function split(block: Block, budget: number, pen: Pen): [head: Block, tail: Block | undefined] {
  const cost = (text: string): number => costOf(withText(block, text), pen) + NEWLINE;
  const text = block.kind === "text" ? block.line : block.text;
  const most = beginning(text, budget, cost);
  const newline = most.lastIndexOf("\n");
  const space = most.lastIndexOf(" ");
  const at = newline > 0 ? newline : space > most.length / 2 ? space : most.length;
  // A budget that holds not even one character would never end.
  if (at === 0 || at >= text.length) return [block, undefined];
  const tail = text.slice(at + (newline > 0 || at === space ? 1 : 0));
  return [withText(block, text.slice(0, at)), withText(block, tail)];
}

/** The lines that are read as this block again. */
function linesOf(block: Block): string[] {
  if (block.kind === "text") return [block.line];
  const runs = [...block.text.matchAll(/`{3,}/g)].map(([run]) => run.length);
  const fence = "`".repeat(Math.max(2, ...runs) + 1);
  return [`${fence}${block.language ?? ""}`, ...block.text.split("\n"), fence];
}

function withText(block: Block, text: string): Block {
  return block.kind === "text" ? { ...block, line: text } : { ...block, text };
}

function draw(block: Block, pen: Pen): string {
  if (block.kind === "code") return pen.code(block.text, block.language);
  return block.body === true ? pen.markdown(block.line) : pen.text(block.line);
}

function costOf(block: Block, pen: Pen): number {
  if (block.kind === "code") return pen.codeCost(block.text, block.language);
  return block.body === true ? pen.markdownCost(block.line) : pen.textCost(block.line);
}

function longest(most: number, fits: (length: number) => boolean, text: string): number {
  let low = 0;
  let high = most;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (fits(middle)) low = middle;
    else high = middle - 1;
  }
  return whole(text, low);
}

/** A length that cuts no character in half. */
function whole(text: string, length: number): number {
  return isLowSurrogate(text, length) ? length - 1 : length;
}

function isLowSurrogate(text: string, at: number): boolean {
  const unit = text.charCodeAt(at);
  const before = text.charCodeAt(at - 1);
  return unit >= 0xdc00 && unit <= 0xdfff && before >= 0xd800 && before <= 0xdbff;
}
