/**
 * The rows of a terminal's screen as text, with a cursor that can be moved: as much of a terminal as it takes to read
 * what programs draw. Rows do not wrap, colours are not kept, and a character counts as one column.
 */

/** Rows of the terminal that programs see (pty.ts). */
export const SCREEN_ROWS = 50;
/** A cursor is never moved farther than this; a terminal's own bound is lower. */
const COLUMN_MAX = 1_000;

export interface Row {
  text: string;
  /** What was delivered of it last; undefined: nothing. */
  out: string | undefined;
}

export class ScreenRows {
  readonly #leaves: (row: Row) => void;
  /** By number; rows that have left the screen are gone. */
  readonly #rows = new Map<number, Row>();
  #row = 0;
  #column = 0;
  /** Number of the screen's first row. */
  #top = 0;
  #last = 0;
  #saved = { row: 0, column: 0 };

  /** @param leaves is called with a row that leaves the screen at its top */
  constructor(leaves: (row: Row) => void) {
    this.#leaves = leaves;
  }

  get current(): Row {
    return this.#at(this.#row);
  }

  get column(): number {
    return this.#column;
  }

  get isAtEnd(): boolean {
    return this.#column >= lengthOf(this.current.text);
  }

  /** Rows that differ from what was delivered of them, from top to bottom. */
  changed(): Row[] {
    const changed: [number: number, row: Row][] = [];
    for (const [number, row] of this.#rows) if (row.text !== (row.out ?? "")) changed.push([number, row]);
    return changed.sort(([one], [other]) => one - other).map(([, row]) => row);
  }

  print(text: string): void {
    const row = this.current;
    const length = lengthOf(row.text);
    const printed = lengthOf(text);
    if (this.#column >= length) row.text += " ".repeat(this.#column - length) + text;
    else {
      const cells = cellsOf(row.text);
      row.text = cells.slice(0, this.#column).join("") + text + cells.slice(this.#column + printed).join("");
    }
    this.#column += printed;
  }

  toColumn(column: number): void {
    this.#column = Math.max(0, column);
  }

  /** To the start of the next row. */
  down(): void {
    this.#column = 0;
    this.#toRow(this.#row + 1);
  }

  /** Leaves all rows behind, and begins below them. */
  newPage(): void {
    this.#rows.clear();
    this.#last += 1;
    this.#row = this.#top = this.#last;
    this.#column = 0;
  }

  /** A control sequence (CSI) without a private mark, by its last byte. What does not move or erase changes nothing. */
  control(final: string, numbers: readonly number[]): void {
    const first = numbers[0] ?? 0;
    const count = Math.max(1, first);
    switch (final) {
      case "A":
      case "F":
        this.#toRow(this.#row - count);
        break;
      case "B":
      case "E":
        this.#toRow(this.#row + count);
        break;
      case "C":
      case "a":
        this.toColumn(Math.min(COLUMN_MAX, this.#column + count));
        break;
      case "D":
        this.toColumn(this.#column - count);
        break;
      case "G":
      case "`":
        this.toColumn(Math.min(COLUMN_MAX, count) - 1);
        break;
      case "H":
      case "f":
        this.#toRow(this.#top + count - 1);
        this.toColumn(Math.min(COLUMN_MAX, Math.max(1, numbers[1] ?? 1)) - 1);
        break;
      case "d":
        this.#toRow(this.#top + count - 1);
        break;
      case "J":
        this.#eraseScreen(first);
        break;
      case "K":
        this.#eraseLine(first);
        break;
      case "P":
        this.#replace(count, "");
        break;
      case "X":
        this.#replace(count, " ".repeat(Math.min(count, COLUMN_MAX)));
        break;
      case "@":
        this.#replace(0, " ".repeat(Math.min(count, COLUMN_MAX)));
        break;
      case "s":
        this.#saved = { row: this.#row, column: this.#column };
        break;
      case "u":
        this.#toRow(this.#saved.row);
        this.toColumn(this.#saved.column);
        break;
    }
    if (final === "E" || final === "F") this.#column = 0;
  }

  #at(number: number): Row {
    const known = this.#rows.get(number);
    if (known !== undefined) return known;
    const row: Row = { text: "", out: undefined };
    this.#rows.set(number, row);
    return row;
  }

  /** To this row, or the nearest one of the screen; below its last one, the screen moves down by one. */
  #toRow(number: number): void {
    const lowest = this.#top + SCREEN_ROWS - 1;
    const scrolls = number === lowest + 1 && this.#row === lowest;
    this.#row = scrolls ? number : Math.min(Math.max(number, this.#top), lowest);
    this.#last = Math.max(this.#last, this.#row);
    if (!scrolls) return;
    const gone = this.#rows.get(this.#top);
    this.#rows.delete(this.#top);
    this.#top += 1;
    if (gone !== undefined) this.#leaves(gone);
  }

  #eraseScreen(what: number): void {
    this.#eraseLine(what);
    for (const [number, row] of this.#rows) {
      const isErased = what === 0 ? number > this.#row : what === 1 ? number < this.#row : true;
      if (isErased) row.text = "";
    }
  }

  #eraseLine(what: number): void {
    const row = this.current;
    if (what === 0) row.text = cellsOf(row.text).slice(0, this.#column).join("");
    else if (what === 1) row.text = " ".repeat(this.#column) + cellsOf(row.text).slice(this.#column).join("");
    else row.text = "";
  }

  /** Puts a text where so many characters stood behind the cursor, which stays. */
  #replace(length: number, text: string): void {
    const row = this.current;
    const cells = cellsOf(row.text);
    if (this.#column >= cells.length) return;
    row.text = cells.slice(0, this.#column).join("") + text + cells.slice(this.#column + length).join("");
  }
}

function cellsOf(text: string): string[] {
  return Array.from(text);
}

/** In characters, of which some take two units of a string. */
function lengthOf(text: string): number {
  return /^[\u0000-\u007f]*$/.test(text) ? text.length : cellsOf(text).length;
}
