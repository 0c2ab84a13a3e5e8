/** What a script says about its turn before it begins: YAML between two fences, checked so that no key is mistyped. */
import { Ajv, type ErrorObject } from "ajv";
import type { Static, TObject } from "typebox";
import { parse as parseYaml } from "yaml";

/** It cannot be used; the message names the key. */
export class FrontMatterError extends Error {
  override readonly name = "FrontMatterError";
}

/** Reads front matter of one form. What it returns throws FrontMatterError. */
export function frontMatterReader<Schema extends TObject>(schema: Schema): (text: string) => Static<Schema> {
  const check = new Ajv({ allErrors: true }).compile<Static<Schema>>(schema);
  return (text) => {
    let value: unknown;
    try {
      value = parseYaml(text) ?? {};
    } catch (error) {
      throw new FrontMatterError(
        `the front matter is not YAML: ${error instanceof Error ? (error.message.split("\n", 1)[0] ?? "") : String(error)}`,
      );
    }
    if (check(value)) return value;
    const known = Object.keys(schema.properties);
    throw new FrontMatterError((check.errors ?? []).map((fault) => faultText(fault, known)).join("; "));
  };
}

function faultText(fault: ErrorObject, known: string[]): string {
  const key = fault.instancePath.slice(1).replaceAll("/", ".");
  if (fault.keyword === "additionalProperties") {
    const unknown = String((fault.params as { additionalProperty: unknown }).additionalProperty);
    return `front matter: unknown key ${unknown}; known are ${known.join(", ")}`;
  }
  const allowed =
    fault.keyword === "enum"
      ? `: ${(fault.params as { allowedValues: unknown[] }).allowedValues.join(", ")}`
      : "";
  return `front matter: ${key || "it"} ${fault.message ?? fault.keyword}${allowed}`;
}
