/**
 * What becomes of the bytes that a step prints: text (UTF-8, what is none becomes U+FFFD) → results found → secrets
 * replaced → chunks. A result is handed on at once, behind all output before it (invariant 9); nothing passes here
 * that has not been redacted (invariant 15).
 */
import { StringDecoder } from "node:string_decoder";
import type { FlowResult } from "../../contract/flow-result.ts";
import { readResultLine, RESULT_MARKER } from "../../contract/flow-result.ts";
import { EVENT_MAX_DEPTH } from "../../contract/limits.ts";
import type { OutputStream } from "../../contract/runner-link.ts";
import { OutputChunker } from "./output-chunker.ts";
import type { Redactor } from "./redaction.ts";
import { ResultReader, type ResultRule } from "./result-reader.ts";

export interface OutputSink {
  output(stream: OutputStream, text: string): void;
  result(result: FlowResult): void;
  /** A FLOW_RESULT line that is none; the message is fit for people and free of secrets. */
  invalid(message: string): void;
}

export class StepOutput {
  readonly #sink: OutputSink;
  readonly #redactor: Redactor;
  readonly #chunker: OutputChunker;
  /** Absent once standard output cannot carry a result any more. */
  #results: ResultReader | undefined;
  readonly #decoders = { stdout: new StringDecoder("utf8"), stderr: new StringDecoder("utf8") };
  readonly #redactions;

  /** @param rule which lines of standard output are results */
  constructor(redactor: Redactor, rule: ResultRule, sink: OutputSink) {
    this.#sink = sink;
    this.#results = new ResultReader(rule);
    this.#redactor = redactor;
    this.#redactions = { stdout: redactor.stream(), stderr: redactor.stream() };
    this.#chunker = new OutputChunker((stream, text) => {
      sink.output(stream, text);
    });
  }

  write(stream: "stdout" | "stderr", bytes: Buffer): void {
    const text = this.#decoders[stream].write(bytes);
    if (stream === "stdout") this.#scan(text);
    else this.#print(stream, text);
  }

  /** From now on a result comes by `result` alone, and no line of standard output is one. */
  ignoreResultLines(): void {
    this.#results = undefined;
  }

  /** A result as JSON that came another way than on standard output; goes out behind all output before it. */
  result(json: string): void {
    this.#chunker.flush();
    this.#report(RESULT_MARKER + json);
  }

  /** A word of the runner's own, in a line of its own. */
  note(text: string): void {
    this.#chunker.add("system", `${text}\n`);
  }

  /** Both streams are over. */
  end(): void {
    this.#scan(this.#decoders.stdout.end());
    this.#print("stderr", this.#decoders.stderr.end());
    for (const stream of ["stdout", "stderr"] as const)
      this.#chunker.add(stream, this.#redactions[stream].end());
    this.#chunker.flush();
    const last = this.#results?.end();
    if (last !== undefined) this.#report(last);
  }

  #scan(text: string): void {
    let printed = 0;
    for (const { end, line } of this.#results?.write(text) ?? []) {
      this.#print("stdout", text.slice(printed, end));
      printed = end;
      this.#chunker.flush();
      this.#report(line);
    }
    this.#print("stdout", text.slice(printed));
  }

  #print(stream: "stdout" | "stderr", text: string): void {
    this.#chunker.add(stream, this.#redactions[stream].write(text));
  }

  #report(line: string): void {
    const read = readResultLine(line);
    if (read.kind === "result") {
      const result = this.#redactor.result(read.result);
      if (result !== undefined) this.#sink.result(result);
      else
        this.#sink.invalid(
          `FLOW_RESULT is nested deeper than ${EVENT_MAX_DEPTH} levels, or spreads a secret over its fields`,
        );
      return;
    }
    // A parser's message quotes what it read, so it is asked again about the line without secrets.
    const clean = readResultLine(this.#redactor.text(line));
    this.#sink.invalid(clean.kind === "invalid" ? clean.message : "FLOW_RESULT is not JSON");
  }
}
