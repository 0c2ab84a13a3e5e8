/**
 * The Markdown that agents write, read one line at a time: what a platform needs to render it, and nothing else. Blocks of
 * code are found before (drawing.ts). Whatever is not recognised stays text, so that no character is lost. Pure.
 */

export type Span =
  | { kind: "text"; text: string }
  | { kind: "code"; text: string }
  | { kind: "strong" | "emphasis" | "strike"; spans: Span[] }
  | { kind: "link"; text: string; target: string };

export interface MarkdownLine {
  kind: "paragraph" | "heading" | "bullet" | "quote" | "rule";
  /** Blanks before a bullet: they nest lists. */
  indent: string;
  spans: Span[];
}

/** Marks inside of marks. Deeper ones stay text. */
const DEPTH_MAX = 3;

const HEADING = /^ {0,3}#{1,6}\s+(.*)$/;
const BULLET = /^(\s*)[-*+]\s+(.*)$/;
const QUOTE = /^ {0,3}>\s?(.*)$/;
const RULE = /^ {0,3}(?:-{3,}|\*{3,}|_{3,})\s*$/;
/**
 * Code, strong, struck, emphasised, a link, an address: the first that begins here. A pair of marks that is more than 1,000
 * characters apart is text, so that the search for its end stays bounded.
 */
const SPAN =
  /(?<ticks>`{1,2})(?!`)(?<code>[^\n]{1,1000}?)(?<!`)\k<ticks>(?!`)|\*\*(?=\S)(?<strong>[^\n]{1,1000}?)(?<=\S)\*\*(?!\*)|(?<![\w_])__(?=\S)(?<strong2>[^\n]{1,1000}?)(?<=\S)__(?![\w_])|~~(?=\S)(?<strike>[^\n~]{1,1000}?)(?<=\S)~~|(?<![\w*])\*(?=[^\s*])(?<emphasis>[^\n*]{1,1000}?)(?<=\S)\*(?![\w*])|(?<![\w_])_(?=[^\s_])(?<emphasis2>[^\n_]{1,1000}?)(?<=\S)_(?![\w_])|!?\[(?<label>[^\]\n]{1,500})\]\((?<target>[^\s()<>]{1,1000}(?:\([^\s()<>]{0,200}\)[^\s()<>]{0,500})?)(?:\s+"[^"\n]{0,200}")?\)|https?:\/\/[^\s<>\\`*|~"]{1,2000}/g;

/** One line outside of a fence. */
export function markdownLine(line: string): MarkdownLine {
  if (RULE.test(line)) return { kind: "rule", indent: "", spans: [] };
  const [, heading] = HEADING.exec(line) ?? [];
  if (heading !== undefined)
    return { kind: "heading", indent: "", spans: spansOf(heading.replace(/\s+#+\s*$/, "")) };
  const [, indent = "", item] = BULLET.exec(line) ?? [];
  if (item !== undefined) return { kind: "bullet", indent, spans: spansOf(item) };
  const [, quoted] = QUOTE.exec(line) ?? [];
  if (quoted !== undefined) return { kind: "quote", indent: "", spans: spansOf(quoted) };
  return { kind: "paragraph", indent: "", spans: spansOf(line) };
}

function spansOf(text: string, depth = 0): Span[] {
  const spans: Span[] = [];
  let at = 0;
  for (const { 0: whole, index, groups = {} } of depth > DEPTH_MAX ? [] : text.matchAll(SPAN)) {
    const span = spanOf(groups, depth);
    if (span === undefined) continue;
    if (index > at) spans.push({ kind: "text", text: text.slice(at, index) });
    spans.push(span);
    at = index + whole.length;
  }
  if (at < text.length) spans.push({ kind: "text", text: text.slice(at) });
  return spans;
}

/** Undefined for an address that stands by itself: it is text, and only matched so that no mark in it counts. */
function spanOf(groups: Record<string, string | undefined>, depth: number): Span | undefined {
  const { code, label, target, strike } = groups;
  if (code !== undefined) return { kind: "code", text: code };
  if (label !== undefined && target !== undefined) return { kind: "link", text: label, target };
  const strong = groups["strong"] ?? groups["strong2"];
  if (strong !== undefined) return { kind: "strong", spans: spansOf(strong, depth + 1) };
  if (strike !== undefined) return { kind: "strike", spans: spansOf(strike, depth + 1) };
  const emphasis = groups["emphasis"] ?? groups["emphasis2"];
  return emphasis === undefined ? undefined : { kind: "emphasis", spans: spansOf(emphasis, depth + 1) };
}

/** Whether the target of a link leads anywhere but into the agent's own files. */
export function isAddress(target: string): boolean {
  return /^https?:\/\/[^\s<>]+$/.test(target);
}
