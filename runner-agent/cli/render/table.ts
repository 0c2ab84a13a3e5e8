/** Tables without borders: aligned columns that read the same on a terminal and in a pipe. */
import { stripVTControlCharacters } from "node:util";
import Table from "cli-table3";
import type { Style } from "./text.ts";

const GAP = 2;
/** The last column keeps at least this much, however narrow the terminal: one that goes on below itself may hold a run id. */
const LAST_COLUMN_MIN_CHARS = { cut: 12, wrap: 32 } as const;
const NO_BORDERS = {
  top: "",
  "top-mid": "",
  "top-left": "",
  "top-right": "",
  bottom: "",
  "bottom-mid": "",
  "bottom-left": "",
  "bottom-right": "",
  left: "",
  "left-mid": "",
  mid: "",
  "mid-mid": "",
  right: "",
  "right-mid": "",
  middle: "",
};

/**
 * Rows of equal length under their heads. On a terminal too narrow for them the last column is cut, so that a row
 * stays one line, or goes on below itself.
 */
export function table(
  style: Style,
  head: readonly string[],
  rows: ReadonlyArray<readonly string[]>,
  overflow: "cut" | "wrap" = "cut",
): string {
  const made = new Table({
    chars: NO_BORDERS,
    style: { "padding-left": 0, "padding-right": GAP, head: [], border: [] },
    wordWrap: overflow === "wrap",
    colWidths: style.terminal ? columnWidths(style.width, head, rows, LAST_COLUMN_MIN_CHARS[overflow]) : [],
  });
  made.push(
    head.map((name) => style.colors.dim(name)),
    ...rows.map((row) => [...row]),
  );
  return made
    .toString()
    .split("\n")
    .map((line) => line.trimEnd())
    .join("\n");
}

/** Null lets a column be as wide as what it holds. */
function columnWidths(
  width: number,
  head: readonly string[],
  rows: ReadonlyArray<readonly string[]>,
  lastMin: number,
): Array<number | null> {
  const widths = head.map((name, column) =>
    Math.max(name.length, ...rows.map((row) => stripVTControlCharacters(row[column] ?? "").length)),
  );
  const before = widths.slice(0, -1).reduce((sum, each) => sum + each + GAP, 0);
  const left = Math.max(lastMin, width - before);
  const needed = (widths.at(-1) ?? 0) + GAP;
  return head.map((_name, column) => (column === head.length - 1 && needed > left ? left : null));
}
