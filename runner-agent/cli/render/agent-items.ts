/**
 * An agent's items on a terminal, as they come: a state machine from items to the text that is to be written next.
 * It writes nothing itself, and what it returns depends on the items before and the colours alone.
 *
 * I1. Text that was streamed in deltas is not shown again when its item is completed; what the deltas left out is
 *     (rule A2 of contract/agent-item.ts: they may be incomplete).
 * I2. One item at a time has the line. When another one begins to speak, it begins a line of its own.
 * I3. Nothing that an agent or its commands say can steer the terminal.
 * I4. The output of a command is written when the command has ended, from its completed item. Codex leaves the first
 *     lines out of the deltas, so that writing the deltas would put those lines last. Meanwhile a terminal whose width is
 *     known shows the newest line of the output as a preview, which the next text erases.
 */
import { stripVTControlCharacters } from "node:util";
import type { Colors } from "picocolors/types";
import type { AgentItem, AgentItemDelta, ItemFileChange, TokenCounts } from "../../../contract/agent-item.ts";
import { lineCounts } from "../../../contract/item-text.ts";
import { ITEM_OUTPUT_MAX_CHARS } from "../../../contract/limits.ts";
import { durationText, ERASE_LINE, visible, visibleLines } from "./text.ts";

type Paint = (text: string) => string;
type Whole<Type extends AgentItem["type"]> = Exclude<Extract<AgentItem, { type: Type }>, AgentItemDelta>;

/** Arguments of a tool, and a command that goes on after others have spoken, are shown so far. */
const SHORT_CHARS = 120;
const INDENT = "  ";
const ASCII_END = 0x7f;

export class AgentItemRenderer {
  readonly #colors: Colors;
  readonly #previewColumns: number | undefined;
  /** The end of what commands that still run have printed, by item. */
  readonly #held = new Map<string, string>();
  #isPreviewShown = false;
  /** What deltas have shown, by item. */
  readonly #streamed = new Map<string, string>();
  /** Heads of commands and calls that have begun, by id. */
  readonly #begun = new Map<string, string>();
  /** The last form of plans and warnings: the same one again says nothing. */
  readonly #shown = new Map<string, string>();
  /** Calls of the model in this turn, by id. */
  readonly #usage = new Map<string, TokenCounts>();
  /** Whose text stands last on the screen, while more of it may come. */
  #speaking: string | undefined;
  #lineOpen = false;

  /** `previewColumns`: width of a terminal that is watched live, for previews (I4); absent, there are none. */
  constructor(colors: Colors, previewColumns?: number) {
    this.#colors = colors;
    this.#previewColumns = previewColumns;
  }

  /** Whether what was returned last waits for the end of its line. */
  get lineOpen(): boolean {
    return this.#lineOpen;
  }

  /** Somebody else has written lines in between: what comes next begins a new one. */
  #interrupted(): void {
    this.#lineOpen = false;
    this.#speaking = undefined;
  }

  /** What frees the line for others: erases a preview, and ends the line that is open. */
  endLine(): string {
    const end = `${this.#erasePreview()}${this.#lineOpen ? "\n" : ""}`;
    this.#interrupted();
    return end;
  }

  /** Output of commands whose end was not reported, for when it can no longer be. */
  unfinished(): string {
    const erase = this.#erasePreview();
    const texts = [...this.#held].map(([key, text]) => {
      const head = `$ ${short(this.#begun.get(key) ?? "")} …`;
      const again = this.#speaking === key ? "" : this.#lines(this.#colors.dim(head));
      return again + this.#speak(key, text, this.#colors.dim, INDENT) + this.endLine();
    });
    this.#held.clear();
    return erase + texts.join("");
  }

  /** The text to write for this item, now. */
  render(item: AgentItem): string {
    return this.#erasePreview() + this.#textOf(item);
  }

  #textOf(item: AgentItem): string {
    if (item.state === "delta") return this.#delta(item);
    switch (item.type) {
      case "message":
        return item.role === "user" ? this.#userMessage(item) : this.#text(item);
      case "reasoning":
        return this.#text(item);
      case "command":
        return this.#command(item);
      case "file_change":
        return this.#fileChange(item);
      case "plan":
        return this.#plan(item);
      case "tool_call":
        return this.#toolCall(item);
      case "warning":
        return this.#once(item, this.#colors.yellow(`warning: ${visibleLines(item.text)}`));
      case "activity":
        return item.state === "completed"
          ? this.#lines(this.#colors.dim(`${visible(item.kind)} ${visibleLines(item.text)}`.trimEnd()))
          : "";
      case "usage":
        this.#usage.set(item.id, item.call);
        return "";
      case "turn":
        return this.#turn(item);
    }
  }

  #delta(item: AgentItemDelta): string {
    const key = keyOf(item);
    if (item.type === "command") {
      const held = ((this.#held.get(key) ?? "") + item.text).slice(-ITEM_OUTPUT_MAX_CHARS);
      this.#held.set(key, held);
      return this.#preview(held);
    }
    this.#streamed.set(key, (this.#streamed.get(key) ?? "") + item.text);
    return this.#speak(key, item.text, this.#paintOf(item.type));
  }

  /** The newest line of a command's output. It has no end, so that it can be erased. */
  #preview(output: string): string {
    // Text that waits for the end of its line must not be erased.
    if (this.#previewColumns === undefined || this.#lineOpen) return "";
    const line = harmlessLines(output).trimEnd().split("\n").at(-1) ?? "";
    const shown = fitting(`${INDENT}${line}`, this.#previewColumns - 1);
    if (shown.trim() === "") return "";
    this.#isPreviewShown = true;
    return this.#colors.dim(shown);
  }

  #erasePreview(): string {
    if (!this.#isPreviewShown) return "";
    this.#isPreviewShown = false;
    return ERASE_LINE;
  }

  #paintOf(type: AgentItem["type"]): Paint {
    return type === "reasoning" ? this.#colors.dim : (text) => text;
  }

  /** A message or a summary of reasoning at its end: what its deltas have not shown. */
  #text(item: Whole<"message"> | Whole<"reasoning">): string {
    if (item.state === "started") return "";
    return this.#rest(item, item.text, this.#paintOf(item.type)) + this.#omitted(item.omittedChars);
  }

  /** What was said to the agent: its prompt, or a word in between. */
  #userMessage({ state, text, omittedChars }: Whole<"message">): string {
    if (state === "started" || text === "") return "";
    const lines = visibleLines(text)
      .split("\n")
      .map((line) => this.#colors.cyan(`> ${line}`));
    return this.#lines(lines.join("\n")) + this.#omitted(omittedChars);
  }

  #command(item: Whole<"command">): string {
    const colors = this.#colors;
    const key = keyOf(item);
    const command = typedCommand(item.command);
    const isNew = !this.#begun.has(key);
    const isInterrupted = !isNew && this.#speaking !== key;
    this.#begun.set(key, command);
    if (item.state === "started") {
      const head = isNew ? this.#lines(`${colors.bold("$")} ${visibleLines(command)}`) : "";
      this.#speaking = key;
      return head;
    }
    this.#held.delete(key);
    this.#begun.delete(key);
    const end = this.#commandEnd(item);
    const isSilent = item.output === "" && end === "";
    const head = isNew
      ? `${colors.bold("$")} ${visibleLines(command)}`
      : isInterrupted && !isSilent
        ? colors.dim(`$ ${short(command)} …`)
        : "";
    // A bounded output is the end of the whole one.
    const parts = [this.#lines(head), this.#omitted(item.omittedChars)];
    if (item.output !== "") parts.push(this.#speak(key, item.output, colors.dim, INDENT));
    return `${parts.join("")}${end === "" ? this.endLine() : this.#lines(end)}`;
  }

  #commandEnd({ outcome, exitCode, durationMs }: Whole<"command">): string {
    const colors = this.#colors;
    if (outcome === "declined") return colors.yellow(`${INDENT}declined`);
    const took = durationMs === undefined || durationMs === 0 ? "" : `, ${durationText(durationMs)}`;
    if (exitCode === undefined) return outcome === "failed" ? colors.red(`${INDENT}failed${took}`) : "";
    const paint = exitCode === 0 ? colors.dim : colors.red;
    return paint(`${INDENT}exit code ${exitCode}${took}`);
  }

  #fileChange(item: Whole<"file_change">): string {
    if (item.state === "started") return "";
    const colors = this.#colors;
    const omitted =
      item.omittedChanges === undefined ? [] : [colors.dim(`… and ${item.omittedChanges} more files`)];
    const outcome = item.outcome === "completed" ? [] : [colors.yellow(`${INDENT}${item.outcome}`)];
    return this.#lines(
      [...item.changes.map((change) => this.#change(change)), ...omitted, ...outcome].join("\n"),
    );
  }

  #change(change: ItemFileChange): string {
    const { kind, path, movedTo } = change;
    const colors = this.#colors;
    const [added, removed] = lineCounts(change);
    const counts =
      added === undefined || removed === undefined ? "" : ` ${colors.green(added)} ${colors.red(removed)}`;
    const to = movedTo === undefined ? "" : ` → ${visible(movedTo)}`;
    return `${kind} ${visible(path)}${to}${counts}`;
  }

  #plan(item: Whole<"plan">): string {
    const colors = this.#colors;
    const marks = {
      completed: (text: string) => colors.green(`[x] ${text}`),
      running: (text: string) => colors.bold(`[>] ${text}`),
      pending: (text: string) => `[ ] ${text}`,
    };
    const steps = item.steps.map((step) => marks[step.status](visible(step.text)));
    const streamed = this.#streamed.has(keyOf(item))
      ? this.#rest(item, item.text, (part) => part)
      : undefined;
    const text = streamed !== undefined || item.text === "" ? [] : [visibleLines(item.text)];
    return (streamed ?? "") + this.#once(item, [...text, ...steps].join("\n"));
  }

  #toolCall(item: Whole<"tool_call">): string {
    const colors = this.#colors;
    const key = keyOf(item);
    const name = visible(item.server === undefined ? item.tool : `${item.server}/${item.tool}`);
    const head = this.#begun.has(key)
      ? ""
      : this.#lines(`${colors.cyan(`tool ${name}`)} ${colors.dim(short(item.arguments))}`.trimEnd());
    this.#begun.set(key, name);
    if (item.state === "started") return head;
    this.#begun.delete(key);
    if (item.outcome === "completed" && item.error === undefined) return head;
    const paint = item.outcome === "declined" ? colors.yellow : colors.red;
    const why = item.error === undefined ? "" : `: ${visibleLines(item.error)}`;
    return head + this.#lines(paint(`${INDENT}${name} ${item.outcome}${why}`));
  }

  #turn(item: Whole<"turn">): string {
    if (item.state === "started") return "";
    const colors = this.#colors;
    const calls = [...this.#usage.values()];
    this.#usage.clear();
    const total = (count: (call: TokenCounts) => number) =>
      calls.reduce((sum, call) => sum + count(call), 0).toLocaleString("en");
    const facts = [
      ...(item.durationMs === undefined ? [] : [durationText(item.durationMs)]),
      ...(calls.length === 0
        ? []
        : [
            `${total((call) => call.inputTokens)} tokens in (${total((call) => call.cachedInputTokens)} cached), ${total((call) => call.outputTokens)} out`,
          ]),
    ];
    const code = item.error?.code === undefined ? "" : ` (${visible(item.error.code)})`;
    // The commands of a turn that was broken off get no end of their own.
    const unfinished = item.outcome === "completed" ? "" : this.unfinished();
    const failed =
      item.outcome === "failed"
        ? this.#lines(colors.red(`turn failed: ${visibleLines(item.error?.message ?? "")}${code}`))
        : "";
    return unfinished + failed + this.#lines(colors.dim([`turn ${item.outcome}`, ...facts].join(", ")));
  }

  /** What of a whole text was not streamed, and the end of its line (I1). */
  #rest(item: AgentItem, whole: string, paint: Paint): string {
    const key = keyOf(item);
    const streamed = this.#streamed.get(key) ?? "";
    this.#streamed.delete(key);
    // Of a text that is bounded, the streamed one may be longer at either end.
    const complete = streamed.startsWith(whole) || streamed.endsWith(whole);
    const isBeginning = whole.startsWith(streamed);
    const label = complete || isBeginning ? "" : this.#lines(this.#colors.dim("(in full)"));
    const text = complete ? "" : isBeginning ? whole.slice(streamed.length) : whole;
    const shown = text === "" ? "" : this.#speak(key, text, paint);
    // Its line is its own to end, not that of another item which has spoken since.
    const end = this.#speaking === key && this.#lineOpen ? "\n" : "";
    if (this.#speaking === key) this.#interrupted();
    return `${label}${shown}${end}`;
  }

  /** More of an item's text, which may stop in the middle of a line (I2). */
  #speak(key: string, text: string, paint: Paint, indent = ""): string {
    if (text === "") return "";
    const begin = this.#speaking === key ? "" : this.endLine();
    let atLineStart = !this.#lineOpen;
    const painted = harmlessLines(text)
      .split(/(?<=\n)/)
      .map((piece) => {
        const line = piece.replace(/\n$/, "");
        const margin = atLineStart && line !== "" ? indent : "";
        atLineStart = piece.endsWith("\n");
        return `${margin}${line === "" ? "" : paint(line)}${atLineStart ? "\n" : ""}`;
      });
    this.#speaking = key;
    this.#lineOpen = !atLineStart;
    return begin + painted.join("");
  }

  /** Whole lines, on their own. */
  #lines(text: string): string {
    return text === "" ? "" : `${this.endLine()}${text}\n`;
  }

  /** The same, unless they were the last that was said of this item. */
  #once(item: AgentItem, text: string): string {
    if (this.#shown.get(keyOf(item)) === text) return "";
    this.#shown.set(keyOf(item), text);
    return this.#lines(text);
  }

  #omitted(chars: number | undefined): string {
    return chars === undefined
      ? ""
      : this.#lines(this.#colors.dim(`(${chars.toLocaleString("en")} characters left out)`));
  }
}

function keyOf({ type, id }: AgentItem): string {
  return `${type} ${id}`;
}

/**
 * The text cut to so many columns. Every character outside ASCII counts as two columns: a line that is too short does no
 * harm, and one that wraps could not be erased.
 */
function fitting(text: string, columns: number): string {
  let used = 0;
  let shown = "";
  for (const character of text) {
    used += (character.codePointAt(0) ?? 0) < ASCII_END ? 1 : 2;
    if (used > columns) break;
    shown += character;
  }
  return shown;
}

/** Without the shell that Codex wraps around what the model has typed. */
function typedCommand(command: string): string {
  const [, quoted, bare] = /^\S*\/(?:ba|z|da)?sh -l?c (?:'([^']*)'|([^\s'"]+))$/.exec(command) ?? [];
  return quoted ?? bare ?? command;
}

function short(text: string): string {
  const line = visible(text);
  return line.length <= SHORT_CHARS ? line : `${line.slice(0, SHORT_CHARS)} …`;
}

/** Lines of a program; a progress bar's carriage returns are ends of lines, its colours are lost. */
function harmlessLines(text: string): string {
  return visibleLines(stripVTControlCharacters(text).replace(/\r\n?/g, "\n"));
}
