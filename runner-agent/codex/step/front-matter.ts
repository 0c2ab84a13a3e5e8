/** What a script says about its turn before it begins: YAML between two fences, checked so that no key is mistyped. */
import type { Static, TObject } from "typebox";
import { parse as parseYaml } from "yaml";
import type { CompiledCheck, SchemaFault } from "../../../contract/validate.ts";

/** It cannot be used; the message names the key. */
export class FrontMatterError extends Error {
  override readonly name = "FrontMatterError";
}

/**
 * Reads front matter of one form. What it returns throws FrontMatterError.
 * @param check made from the schema when the project is built
 */
export function frontMatterReader<Schema extends TObject>(
  schema: Schema,
  check: CompiledCheck,
): (text: string) => Static<Schema> {
  return (text) => {
    let value: unknown;
    try {
      value = parseYaml(text) ?? {};
    } catch (error) {
      throw new FrontMatterError(
        `the front matter is not YAML: ${error instanceof Error ? (error.message.split("\n", 1)[0] ?? "") : String(error)}`,
      );
    }
    if (check(value)) return value as Static<Schema>;
    const known = Object.keys(schema.properties);
    throw new FrontMatterError((check.errors ?? []).map((fault) => faultText(fault, known)).join("; "));
  };
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
