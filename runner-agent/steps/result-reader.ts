/**
 * Finds the lines of standard output that say FLOW_RESULT, in a stream of text cut anywhere. What a line says is the
 * contract's affair (`readResultLine`). Holds no more than one result: a line may have any length before its marker,
 * and behind it what is over the bound is left out, so that the contract finds it too large.
 */
import { RESULT_MAX_BYTES } from "../../contract/limits.ts";

const MARKER = "FLOW_RESULT ";

export interface FoundLine {
  /** Index behind the line's end in the text that completed it. */
  end: number;
  /** The line from its marker on. */
  line: string;
}

export class ResultReader {
  /** What has come of a line behind its marker; absent outside such a line. */
  #behindMarker: string | undefined;
  /** The last characters of what was read, in which a marker may begin. */
  #tail = "";

  /** The result lines that this piece completes. */
  write(text: string): FoundLine[] {
    const found: FoundLine[] = [];
    let at = 0;
    while (at < text.length) {
      if (this.#behindMarker === undefined) {
        const known = this.#tail + text.slice(at);
        const marker = known.indexOf(MARKER);
        if (marker < 0) {
          this.#tail = known.slice(1 - MARKER.length);
          break;
        }
        at += marker + MARKER.length - this.#tail.length;
        this.#tail = "";
        this.#behindMarker = "";
      }
      const newline = text.indexOf("\n", at);
      this.#keep(text.slice(at, newline < 0 ? text.length : newline));
      if (newline < 0) break;
      at = newline + 1;
      found.push({ end: at, line: this.#take() });
    }
    return found;
  }

  /** A last line without a newline counts. */
  end(): string | undefined {
    return this.#behindMarker === undefined ? undefined : this.#take();
  }

  #keep(text: string): void {
    const room = RESULT_MAX_BYTES + 1 - (this.#behindMarker ?? "").length;
    if (room > 0) this.#behindMarker = (this.#behindMarker ?? "") + text.slice(0, room);
  }

  #take(): string {
    const line = MARKER + (this.#behindMarker ?? "");
    this.#behindMarker = undefined;
    return line;
  }
}
