/**
 * What the module wrapper tells the agent over a pipe of its own (`RESULT_DESCRIPTOR`), in lines: "module" as soon as it
 * knows that the script is one, then the result as JSON. Nothing that the step or its programs print arrives here, so
 * that no text in a log can pass for the result of a module.
 */
import { StringDecoder } from "node:string_decoder";
import { RESULT_MAX_BYTES } from "../../contract/limits.ts";

/** The step's end of the pipe. Must be the same as in module-wrapper.mjs. */
export const RESULT_DESCRIPTOR = 3;
const ANNOUNCEMENT = "module";

export class ResultChannel {
  readonly #decoder = new StringDecoder("utf8");
  readonly #onModule: () => void;
  #line = "";
  #isModule = false;

  /** @param onModule is called once, before any result */
  constructor(onModule: () => void) {
    this.#onModule = onModule;
  }

  /** Whether the script has turned out to be a module, which alone has a result here. */
  get isModule(): boolean {
    return this.#isModule;
  }

  /** The results that these bytes complete, as JSON; the contract finds those too large that are cut off here. */
  write(bytes: Buffer): string[] {
    const [first = "", ...more] = this.#decoder.write(bytes).split("\n");
    const results: string[] = [];
    this.#keep(first);
    for (const text of more) {
      if (this.#isModule) results.push(this.#line);
      else if (this.#line === ANNOUNCEMENT) {
        this.#isModule = true;
        this.#onModule();
      }
      this.#line = "";
      this.#keep(text);
    }
    return results;
  }

  #keep(text: string): void {
    this.#line += text.slice(0, RESULT_MAX_BYTES + 1 - this.#line.length);
  }
}
