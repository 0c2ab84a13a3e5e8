/**
 * What both platforms share when a message is drawn: its lines as blocks, and how they are made to fit.
 *
 * Lines are plain text, but one kind of markup is read in them, since agents write it all the time: lines between two
 * fences of backticks are code. A platform says with its pen how a line and a piece of code are drawn and what they
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
  code(text: string, language?: string): string;
  codeCost(text: string, language?: string): number;
}

export type Block = { kind: "text"; line: string } | { kind: "code"; text: string; language?: string };

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
  const { title, lines, fields, code, buttons, links } = message;
  return {
    ...message,
    title: readable(title),
    ...(lines === undefined ? {} : { lines: lines.map(readable) }),
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

/** Lines drawn within a budget; the rest is left out, and it shows. */
export function drawLines(lines: readonly string[], budget: number, pen: Pen): string {
  const drawn: string[] = [];
  let left = budget;
  for (const block of blocksOf(lines)) {
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
 * A message as several whose lines each cost no more than `budget`; itself when they fit. The first one tells who is
 * mentioned, the last one bears what belongs to the end: code, fields, links, buttons.
 */
export function pagesOf(message: ChatMessage, budget: number, pen: Pen): ChatMessage[] {
  const pieces = blocksOf(message.lines ?? []).flatMap((block) => split(block, budget, pen));
  const pages: Block[][] = [[]];
  let left = budget;
  for (const piece of pieces) {
    const cost = costOf(piece, pen) + NEWLINE;
    if (cost > left) {
      pages.push([]);
      left = budget;
    }
    pages.at(-1)?.push(piece);
    left -= cost;
  }
  if (pages.length <= 1) return [message];
  const { tone, title, mention, silent } = message;
  return pages.map((blocks, index) => {
    const lines = blocks.flatMap(linesOf);
    const head = { title: `${title} (${index + 1}/${pages.length})`, lines };
    if (index === pages.length - 1) {
      const { mention: _mention, ...last } = message;
      return { ...last, ...head, silent: true };
    }
    if (index > 0) return { tone, ...head, silent: true };
    return {
      tone,
      ...head,
      ...(mention === undefined ? {} : { mention }),
      ...(silent === undefined ? {} : { silent }),
    };
  });
}

/** A block as blocks that each fit a page: code at its lines, and a line that is too long anywhere. */
function split(block: Block, budget: number, pen: Pen): Block[] {
  const cost = (text: string): number => costOf(withText(block, text), pen) + NEWLINE;
  const parts: string[] = [];
  let rest = block.kind === "text" ? block.line : block.text;
  while (cost(rest) > budget) {
    const most = beginning(rest, budget, cost);
    const newline = most.lastIndexOf("\n");
    const space = most.lastIndexOf(" ");
    const at = newline > 0 ? newline : space > most.length / 2 ? space : most.length;
    // A budget that holds not even one character would never end.
    if (at === 0) break;
    parts.push(rest.slice(0, at));
    rest = rest.slice(at + (newline > 0 || at === space ? 1 : 0));
  }
  parts.push(rest);
  return parts.map((text) => withText(block, text));
}

/** The lines that are read as this block again. */
function linesOf(block: Block): string[] {
  if (block.kind === "text") return [block.line];
  const runs = [...block.text.matchAll(/`{3,}/g)].map(([run]) => run.length);
  const fence = "`".repeat(Math.max(2, ...runs) + 1);
  return [`${fence}${block.language ?? ""}`, ...block.text.split("\n"), fence];
}

function withText(block: Block, text: string): Block {
  return block.kind === "text" ? { kind: "text", line: text } : { ...block, text };
}

function draw(block: Block, pen: Pen): string {
  return block.kind === "text" ? pen.text(block.line) : pen.code(block.text, block.language);
}

function costOf(block: Block, pen: Pen): number {
  return block.kind === "text" ? pen.textCost(block.line) : pen.codeCost(block.text, block.language);
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
