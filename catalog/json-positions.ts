/** Where the values of a JSON text are, by their JSON pointers. */
import { isMap, isPair, isScalar, isSeq, LineCounter, parseDocument, type Node } from "yaml";
import type { Locate } from "./toml-positions.ts";

/** Positions of a text that is known to be JSON: of the key, or of the array element, or of what encloses it. */
export function locateJson(text: string): Locate {
  const lines = new LineCounter();
  // Every JSON text is YAML, and this parser knows positions.
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: false });
  return (pointer) => {
    let offset = 0;
    let node: unknown = document.contents;
    for (const segment of pointer.split("/").slice(1)) {
      const key = segment.replaceAll("~1", "/").replaceAll("~0", "~");
      const found = childOf(node, key);
      if (found === undefined) break;
      offset = found.at?.range?.[0] ?? offset;
      node = found.value;
    }
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  };
}

function childOf(node: unknown, key: string): { at: Node | undefined; value: unknown } | undefined {
  if (isSeq(node)) {
    const item = node.items[Number(key)] as Node | undefined;
    return item && { at: item, value: item };
  }
  if (!isMap(node)) return undefined;
  const pair = node.items.find(
    (item) => isPair(item) && isScalar(item.key) && String(item.key.value) === key,
  );
  return pair && { at: isScalar(pair.key) ? pair.key : undefined, value: pair.value };
}
