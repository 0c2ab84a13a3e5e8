/** The settings at the beginning of a script: YAML between two fences, checked so that no mistyped key is ignored. */
import type { Static, TObject } from "typebox";
import { isMap, isScalar, LineCounter, parseDocument, type Document } from "yaml";
import type { CompiledCheck, SchemaFault } from "../../../contract/validate.ts";

/** One mistake in a script that Codex works on. */
export interface ScriptFault {
  /** Line of the file, from 1. */
  line: number;
  /** From 1. */
  column: number;
  /** The placeholder that is meant; "" for anything else. */
  path: string;
  message: string;
}

/** The front matter cannot be used; the message names every key that is wrong. */
export class FrontMatterError extends Error {
  override readonly name = "FrontMatterError";
  readonly faults: ScriptFault[];

  constructor(faults: ScriptFault[]) {
    super(faults.map(({ message }) => message).join("; "));
    this.faults = faults;
  }
}

export interface FrontMatter<Fields> {
  fields: Fields;
  /** Line of the file in which a key of the first level is written. */
  lineOf: (key: string) => number;
}

/**
 * Returns a reader of front matter of one form. The reader throws FrontMatterError.
 * @param check compiled from the schema when the project is built
 */
export function frontMatterReader<Schema extends TObject>(
  schema: Schema,
  check: CompiledCheck,
): (text: string, firstLine: number) => FrontMatter<Static<Schema>> {
  return (text, firstLine) => {
    const lines = new LineCounter();
    const document = parseDocument(text, { lineCounter: lines });
    const at = (offset: number | undefined): { line: number; column: number } => {
      const { line, col } = lines.linePos(offset ?? 0);
      return { line: firstLine + Math.max(line, 1) - 1, column: Math.max(col, 1) };
    };
    const place = (key: string): { line: number; column: number } => at(offsetOf(document, key));
    const notYaml = document.errors.map(({ message, pos }) => ({
      ...at(pos[0]),
      path: "",
      message: `the front matter is not YAML: ${message.split("\n", 1)[0] ?? ""}`,
    }));
    if (notYaml.length > 0) throw new FrontMatterError(notYaml);
    const value: unknown = document.toJS() ?? {};
    if (check(value)) return { fields: value as Static<Schema>, lineOf: (key) => place(key).line };
    const known = Object.keys(schema.properties);
    throw new FrontMatterError(
      (check.errors ?? []).map((fault) => {
        const unknown =
          fault.keyword === "additionalProperties" ? fault.params["additionalProperty"] : undefined;
        const key = typeof unknown === "string" ? unknown : (fault.instancePath.split("/")[1] ?? "");
        return { ...place(key), path: "", message: faultText(fault, known) };
      }),
    );
  };
}

function offsetOf(document: Document, key: string): number | undefined {
  if (!isMap(document.contents)) return undefined;
  const pair = document.contents.items.find((item) => isScalar(item.key) && String(item.key.value) === key);
  return isScalar(pair?.key) ? pair.key.range?.[0] : undefined;
}

function faultText(fault: SchemaFault, known: string[]): string {
  const key = fault.instancePath.slice(1).replaceAll("/", ".");
  if (fault.keyword === "additionalProperties") {
    const unknown = String(fault.params["additionalProperty"]);
    return `front matter: unknown key ${unknown}; known are ${known.join(", ")}`;
  }
  const allowed =
    fault.keyword === "enum" ? `: ${(fault.params["allowedValues"] as unknown[]).join(", ")}` : "";
  return `front matter: ${key || "it"} ${fault.message ?? fault.keyword}${allowed}`;
}
