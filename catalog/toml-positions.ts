/**
 * Where the keys of a TOML text stand. The TOML parser that gives the values knows no positions, so a second one
 * reads the same text for them.
 */
import { parseTOML, type AST } from "toml-eslint-parser";

/** Both from 1. */
export interface Position {
  line: number;
  column: number;
}

/** Position of a JSON pointer ("/steps/0/runner"): of its key or array element, or of what encloses it. */
export type Locate = (pointer: string) => Position;

const START: Position = { line: 1, column: 1 };

/** Positions of a text that is known to be TOML. Where the two parsers disagree, everything is at the start. */
export function locateToml(text: string): Locate {
  const positions = new Map<string, Position>();
  for (const node of parsed(text)) {
    if (node.type === "TOMLKeyValue") addKeyValue(node, "", positions);
    else {
      const table = addKeys(node.key, node.resolvedKey, positions);
      for (const entry of node.body) addKeyValue(entry, table, positions);
    }
  }
  return (pointer) => {
    for (let at = pointer; at !== ""; at = at.slice(0, at.lastIndexOf("/"))) {
      const position = positions.get(at);
      if (position !== undefined) return position;
    }
    return START;
  };
}

/** A JSON pointer's next segment. */
export function pointerSegment(key: string | number): string {
  return `/${String(key).replaceAll("~", "~0").replaceAll("/", "~1")}`;
}

/** "/steps/0/trigger/type" as an author writes it: `steps[0].trigger.type`. */
export function keyPath(pointer: string): string {
  return pointer
    .split("/")
    .slice(1)
    .map((segment) => segment.replaceAll("~1", "/").replaceAll("~0", "~"))
    .map((segment, at) => (/^\d+$/.test(segment) ? `[${segment}]` : at === 0 ? segment : `.${segment}`))
    .join("");
}

function parsed(text: string): AST.TOMLTopLevelTable["body"] {
  try {
    return parseTOML(text, { tomlVersion: "latest" }).body[0].body;
  } catch {
    return [];
  }
}

function addKeyValue(node: AST.TOMLKeyValue, table: string, positions: Map<string, Position>): void {
  let pointer = table;
  for (const key of node.key.keys) {
    pointer += pointerSegment(key.type === "TOMLBare" ? key.name : key.value);
    add(pointer, key, positions);
  }
  addContent(node.value, pointer, positions);
}

function addContent(node: AST.TOMLContentNode, pointer: string, positions: Map<string, Position>): void {
  if (node.type === "TOMLInlineTable") for (const entry of node.body) addKeyValue(entry, pointer, positions);
  if (node.type === "TOMLArray")
    for (const [index, element] of node.elements.entries()) {
      const at = pointer + pointerSegment(index);
      add(at, element, positions);
      addContent(element, at, positions);
    }
}

/** A table's header: each of its names, and the array element that `[[…]]` opens. Gives the table's pointer. */
function addKeys(key: AST.TOMLKey, resolved: (string | number)[], positions: Map<string, Position>): string {
  let pointer = "";
  let names = 0;
  for (const segment of resolved) {
    pointer += pointerSegment(segment);
    const name = key.keys[typeof segment === "string" ? names++ : names - 1];
    if (name !== undefined) add(pointer, name, positions);
  }
  return pointer;
}

function add(pointer: string, node: AST.HasLocs, positions: Map<string, Position>): void {
  if (positions.has(pointer)) return;
  positions.set(pointer, { line: node.loc.start.line, column: node.loc.start.column + 1 });
}
