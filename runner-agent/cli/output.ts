/**
 * Where a command's words go: answers to standard output, everything around them to standard error. With --json
 * the answer is one JSON document and nothing else is said. Owns the two streams of the process for the command
 * line; never decides what is said.
 */
import picocolors from "picocolors";
import type { Style } from "./render/text.ts";

/** What of a stream matters here; process.stdout is one. */
export interface TextStream {
  write(text: string): unknown;
  isTTY?: boolean | undefined;
  columns?: number | undefined;
}

export interface OutputOptions {
  out: TextStream;
  err: TextStream;
  json: boolean;
  /** False with --no-color. */
  color: boolean;
  environment: Readonly<Record<string, string | undefined>>;
}

export interface Output {
  readonly json: boolean;
  readonly out: TextStream;
  readonly err: TextStream;
  /** How standard output, and how standard error, is to look now. */
  style(): Style;
  noteStyle(): Style;
  /** Answers: the document with --json, else the text that `render` makes of it. */
  show(document: unknown, render: (style: Style) => string | Promise<string>): Promise<void>;
  /** One JSON line (--json of something that goes on). */
  line(document: unknown): void;
  /** Says something around the answer on standard error; silent with --json. */
  note(render: (style: Style) => string): void;
}

const DEFAULT_COLUMNS = 100;

export function createOutput(options: OutputOptions): Output {
  const { out, err, json } = options;
  const styleOf = (stream: TextStream): Style => ({
    colors: picocolors.createColors(isColoured(stream, options)),
    terminal: stream.isTTY === true,
    width: stream.columns ?? DEFAULT_COLUMNS,
    now: Date.now(),
    // npm says so to what npx starts.
    launcher: options.environment["npm_command"] === "exec" ? "npx " : "",
  });
  return {
    json,
    out,
    err,
    style: () => styleOf(out),
    noteStyle: () => styleOf(err),
    async show(document, render) {
      out.write(json ? `${JSON.stringify(document, null, 2)}\n` : `${await render(styleOf(out))}\n`);
    },
    line(document) {
      out.write(`${JSON.stringify(document)}\n`);
    },
    note(render) {
      if (!json) err.write(`${render(styleOf(err))}\n`);
    },
  };
}

/** Colours: never with --no-color or NO_COLOR, always with FORCE_COLOR, else on a terminal. */
function isColoured(stream: TextStream, { color, environment }: OutputOptions): boolean {
  const set = (name: string) => environment[name] !== undefined && environment[name] !== "";
  if (!color || set("NO_COLOR")) return false;
  if (set("FORCE_COLOR")) return environment["FORCE_COLOR"] !== "0";
  return stream.isTTY === true && environment["TERM"] !== "dumb";
}
