/**
 * What a program writes to its terminal, as lines of text without the sequences that control a terminal.
 *
 * It keeps a small model of the screen (screen-rows.ts), because programs draw: they return to the start of a line, move
 * the cursor over a blank instead of writing it, or move up and draw the same lines again. A line goes out when the
 * program ends it. A line that is drawn again goes out when the screen has been quiet for a moment, in its last form, and
 * not at all when it has not changed. A line that stays without an end is a question, and goes out when nothing follows.
 */
import { ScreenRows, type Row } from "./screen-rows.ts";
import { readTerminal, type TerminalOperation } from "./terminal-sequences.ts";

/** A prompt is written in one piece; what follows a cut piece comes sooner than this. */
const QUESTION_AFTER_MS = 200;
/** A screen that has been still for so long is worth reading. */
const REDRAWN_AFTER_MS = 2_000;
/** A screen that is never still is shown at least this often. */
const REDRAWN_MAX_MS = 10_000;
/** Of a line without an end, so much is kept to be drawn over. */
const LINE_KEPT_MAX_CHARS = 32 * 1024;
const TAB_COLUMNS = 8;

export class TerminalText {
  readonly #deliver: (text: string) => void;
  readonly #rows = new ScreenRows((row) => {
    this.#redrawn(row);
  });
  readonly #read = readTerminal();
  /** The row that stands at the end of what was delivered, without an end of line. */
  #open: Row | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** When the first change was made that is not delivered yet, on the monotonic clock. */
  #changedAt: number | undefined;

  constructor(deliver: (text: string) => void) {
    this.#deliver = deliver;
  }

  write(text: string): void {
    clearTimeout(this.#timer);
    for (const operation of this.#read(text)) this.#apply(operation);
    this.#waitForQuiet();
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#letOutAll();
  }

  #apply(operation: TerminalOperation): void {
    const rows = this.#rows;
    switch (operation.kind) {
      case "text":
        rows.print(operation.text);
        if (rows.current.text.length > LINE_KEPT_MAX_CHARS) this.#letGo(rows.current);
        return;
      case "newline":
        this.#endLine(rows.current);
        rows.down();
        return;
      case "tab":
        // A tab stays one where a line grows; elsewhere it is a move.
        if (rows.isAtEnd) rows.print("\t");
        else rows.toColumn(rows.column + TAB_COLUMNS - (rows.column % TAB_COLUMNS));
        return;
      case "return":
        rows.toColumn(0);
        return;
      case "backspace":
        rows.toColumn(rows.column - 1);
        return;
      case "page":
        this.#letOutAll();
        this.#closeOpen();
        rows.newPage();
        return;
      case "control":
        rows.control(operation.final, operation.numbers);
    }
  }

  /** A line that the program ends goes out at once; one that was out before is only noted, as more changes follow. */
  #endLine(row: Row): void {
    if (row.out !== undefined && row !== this.#open) return;
    for (const changed of this.#rows.changed()) if (changed !== row) this.#redrawn(changed);
    this.#letOut(row);
    this.#deliver("\n");
    this.#open = undefined;
  }

  /** A row that was drawn again, or drawn without ever being ended. */
  #redrawn(row: Row): void {
    if (row.text === (row.out ?? "")) return;
    if (row.text.trim() === "") {
      row.out = row.text;
      return;
    }
    this.#letOut(row);
    this.#closeOpen();
  }

  #letOutAll(): void {
    this.#changedAt = undefined;
    const { current } = this.#rows;
    for (const row of this.#rows.changed()) if (row !== current) this.#redrawn(row);
    if (current.text !== (current.out ?? "")) this.#letOut(current);
  }

  /** Delivers a row, as what follows where it is the open one, and leaves it open. */
  #letOut(row: Row): void {
    const before = row === this.#open ? (row.out ?? "") : undefined;
    if (before !== undefined && row.text.startsWith(before)) {
      if (row.text.length > before.length) this.#deliver(row.text.slice(before.length));
    } else {
      this.#closeOpen();
      if (row.text !== "") this.#deliver(row.text);
    }
    row.out = row.text;
    this.#open = row;
  }

  #closeOpen(): void {
    if (this.#open !== undefined) this.#deliver("\n");
    this.#open = undefined;
  }

  /** A very long line is delivered as it grows, and what was delivered is no more drawn over. */
  #letGo(row: Row): void {
    this.#letOut(row);
    row.text = "";
    row.out = "";
    this.#rows.toColumn(0);
  }

  #waitForQuiet(): void {
    const { current } = this.#rows;
    const changed = this.#rows.changed();
    if (changed.length === 0) {
      this.#changedAt = undefined;
      return;
    }
    const isQuestion =
      changed.length === 1 && changed[0] === current && current.text.startsWith(current.out ?? "");
    this.#changedAt ??= performance.now();
    const left = this.#changedAt + REDRAWN_MAX_MS - performance.now();
    this.#timer = setTimeout(
      () => {
        this.#letOutAll();
      },
      Math.max(0, Math.min(isQuestion ? QUESTION_AFTER_MS : REDRAWN_AFTER_MS, left)),
    );
  }
}
