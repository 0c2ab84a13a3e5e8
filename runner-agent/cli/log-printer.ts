/**
 * Prints a run's output: what the step wrote to its standard output and error goes to the same streams here,
 * byte for byte in a pipe; on a terminal without what could steer it or hide. What an agent does goes to standard
 * output: live on a terminal, as plain visible text in a pipe. What the runner and this program say is marked, and goes to
 * standard error.
 */
import type { OutputChunkView } from "../../client/http.ts";
import { visibleText, withoutColours } from "../../contract/visible-text.ts";
import type { Output } from "./output.ts";
import { AgentItemRenderer } from "./render/agent-items.ts";
import { outputText, visibleLines, type Style } from "./render/text.ts";

/** Marks a line that the step did not write. */
const MARK = "── ";

export interface LogPrinter {
  chunk(chunk: OutputChunkView): void;
  /** A line of this program, on its own line. */
  remark(text: string): void;
  /** Something that must not be overlooked, in words and colours of its own. */
  notice(render: (style: Style) => string): void;
  /** No more chunks come: writes what waits for the end of a command that was never reported. */
  end(): void;
}

/** `live`: the output comes while the run produces it, so that a terminal shows previews of commands that run. */
export function createLogPrinter(output: Output, { live = false } = {}): LogPrinter {
  const { out, err } = output;
  const outIsTerminal = output.style().terminal;
  const { terminal: errIsTerminal, colors } = output.noteStyle();
  const results = new ResultLines();
  const { colors: outColors } = output.style();
  const newItems = () => new AgentItemRenderer(outColors, live ? output.style().width : undefined);
  let items = newItems();
  let attempt: number | undefined;
  /** Whether something on the screen waits for the end of its line. */
  let lineOpen = false;

  /** Frees the terminal's line from what an agent's items have left on it. */
  function endItems(): void {
    if (items.lineOpen) lineOpen = false;
    const end = items.endLine();
    if (end !== "") out.write(end);
  }
  function end(): void {
    if (outIsTerminal) {
      const text = items.unfinished();
      if (text !== "") out.write(text);
      endItems();
    }
  }

  function say(text: string): void {
    if (errIsTerminal) endItems();
    err.write(`${lineOpen && errIsTerminal ? "\n" : ""}${text}\n`);
    lineOpen = false;
  }
  function remark(text: string): void {
    say(colors.dim(`${MARK}${visibleLines(text)}`));
  }

  return {
    remark,
    end,
    notice(render) {
      const lines = render(output.noteStyle()).split("\n");
      say(lines.map((line) => `${colors.yellow(MARK)}${line}`).join("\n"));
    },
    chunk(chunk) {
      if (attempt !== undefined && attempt !== chunk.attempt) {
        end();
        remark(`attempt ${chunk.attempt}`);
        // An agent that begins again may give the same ids to other items.
        items = newItems();
      }
      attempt = chunk.attempt;
      if (chunk.item !== undefined && outIsTerminal) {
        const begun = lineOpen && !items.lineOpen ? "\n" : "";
        const text = items.render(chunk.item);
        if (text === "") return;
        out.write(begun + text);
        lineOpen = items.lineOpen;
        return;
      }
      endItems();
      // The text of an item is this product's rendering of an agent's words, not bytes that a step has written.
      if (chunk.item !== undefined) out.write(visibleText(withoutColours(chunk.text)));
      else if (chunk.kind === "stdout")
        out.write(outIsTerminal ? outputText(results.shorten(chunk.text)) : chunk.text);
      else if (chunk.kind === "stderr")
        err.write(errIsTerminal ? colors.red(outputText(chunk.text)) : chunk.text);
      else {
        remark(chunk.text.trimEnd());
        return;
      }
      if (chunk.text !== "") lineOpen = !chunk.text.endsWith("\n");
    },
  };
}

const RESULT_MARK = "FLOW_RESULT ";
/** What a terminal is shown of a FLOW_RESULT line: the result itself follows the log, in words. */
const RESULT_SHOWN_CHARS = 160;

/** Cuts long FLOW_RESULT lines short, also when they come in pieces. */
class ResultLines {
  /** The line that is being printed: how much of it, and whether it is a result. */
  #printed = 0;
  #start = "";

  shorten(text: string): string {
    return text
      .split(/(?<=\n)/)
      .map((piece) => this.#piece(piece))
      .join("");
  }

  #piece(piece: string): string {
    if (this.#start.length < RESULT_MARK.length) this.#start += piece.slice(0, RESULT_MARK.length);
    const left = RESULT_SHOWN_CHARS - this.#printed;
    const cut = this.#start.startsWith(RESULT_MARK) && piece.length > left;
    this.#printed += piece.length;
    const ended = piece.endsWith("\n");
    if (ended) {
      this.#printed = 0;
      this.#start = "";
    }
    if (!cut) return piece;
    return `${left > 0 ? `${piece.slice(0, left)} …` : ""}${ended ? "\n" : ""}`;
  }
}
