/**
 * A chunk of output as it is shown. By itself, since it needs the compiled checks, and the schemas that those are
 * compiled from must load without them.
 */
import type { AgentItem } from "./agent-item.ts";
import { itemText } from "./item-text.ts";
import { formatCursor } from "./output-cursor.ts";
import { iso, type OutputChunkView } from "./run-view.ts";
import type { OutputChunk } from "./runner-link.ts";
import { checkAgentItem } from "./validate.ts";

/** A chunk as it is shown. What a runner sends as an item and is none is shown as the text that it is. */
export function outputChunkView(attempt: number, { seq, stream, text, at }: OutputChunk): OutputChunkView {
  const item = stream === "agent" ? readItem(text) : undefined;
  return {
    cursor: formatCursor({ attempt, seq }),
    attempt,
    seq,
    kind: stream,
    text: item === undefined ? text : itemText(item),
    createdAt: iso(at),
    ...(item === undefined ? {} : { item }),
  };
}

function readItem(text: string): AgentItem | undefined {
  try {
    const value: unknown = JSON.parse(text);
    const checked = checkAgentItem(value);
    return checked.ok ? checked.value : undefined;
  } catch {
    return undefined;
  }
}
