/**
 * Finds the lines of standard output that carry a result, in a stream of text cut anywhere. The contract reads what such
 * a line says (`readResultLine`). Holds no more than one result: a line may have any length before its marker, and
 * what exceeds the bound behind the marker is left out, so that the contract finds it too large.
 */
import type { StartableStep } from "../../contract/flow-manifest.ts";
import { RESULT_MARKER } from "../../contract/flow-result.ts";
import { RESULT_MAX_BYTES } from "../../contract/limits.ts";

export interface ResultRule {
  /** What begins a result; `FLOW_RESULT ` when absent. Must not contain a line break. */
  marker?: string;
  /**
   * `line`: only a line that begins with the marker is a result, so that a log which quotes one is not. `anywhere`: the
   * marker may stand behind other text, as with the predecessor.
   */
  place: "line" | "anywhere";
}

/** The rule that a step's manifest asks for. */
export function resultRule({ result }: StartableStep): ResultRule {
  return { place: result ?? "line" };
}

export interface FoundLine {
  /** Index behind the line's end in the text that completed it. */
  end: number;
  /** `FLOW_RESULT ` and what stands behind the line's marker. */
  line: string;
}

export class ResultReader {
  readonly #marker: string;
  readonly #place: ResultRule["place"];
  /** What has come of a line behind its marker; absent outside such a line. */
  #behindMarker: string | undefined;
  /** The last characters of what was read, in which a marker may begin. */
  #tail = "";
  /** The rest of the current line cannot contain a result. */
  #skipsLine = false;

  constructor({ marker = RESULT_MARKER, place }: ResultRule) {
    this.#marker = marker;
    this.#place = place;
  }

  /** The result lines that this piece completes. */
  write(text: string): FoundLine[] {
    const found: FoundLine[] = [];
    let at = 0;
    while (at < text.length) {
      if (this.#behindMarker === undefined) {
        const behind = this.#place === "line" ? this.#findInLine(text, at) : this.#findAnywhere(text, at);
        if (behind === undefined) break;
        at = behind;
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

  /** Index behind the next marker that begins a line; undefined when this piece has none that is complete. */
  #findInLine(text: string, from: number): number | undefined {
    for (let at = from; at < text.length;) {
      if (!this.#skipsLine) {
        const behind = at + this.#marker.length - this.#tail.length;
        const known = this.#tail + text.slice(at, behind);
        if (known === this.#marker) return behind;
        if (this.#marker.startsWith(known)) {
          this.#tail = known;
          return undefined;
        }
        this.#tail = "";
        this.#skipsLine = true;
      }
      const newline = text.indexOf("\n", at);
      if (newline < 0) return undefined;
      at = newline + 1;
      this.#skipsLine = false;
    }
    return undefined;
  }

  #findAnywhere(text: string, at: number): number | undefined {
    const known = this.#tail + text.slice(at);
    const marker = known.indexOf(this.#marker);
    if (marker >= 0) return at + marker + this.#marker.length - this.#tail.length;
    this.#tail = known.slice(1 - this.#marker.length);
    return undefined;
  }

  #keep(text: string): void {
    const room = RESULT_MAX_BYTES + 1 - (this.#behindMarker ?? "").length;
    if (room > 0) this.#behindMarker = (this.#behindMarker ?? "") + text.slice(0, room);
  }

  #take(): string {
    const line = RESULT_MARKER + (this.#behindMarker ?? "");
    this.#behindMarker = undefined;
    return line;
  }
}
