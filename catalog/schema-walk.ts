/** Reads a JSON Schema as data: every keyword with its JSON pointer, without those inside of constants and examples. */
import { pointerSegment } from "./toml-positions.ts";

/** Keywords whose value is data, not a schema. */
const DATA = new Set(["const", "enum", "default", "examples", "example"]);
/** Keywords whose value has names of the author's as its keys. */
const MAPS = new Set([
  "properties",
  "patternProperties",
  "$defs",
  "definitions",
  "dependentSchemas",
  "dependencies",
]);

export interface Keyword {
  name: string;
  value: unknown;
  /** Pointer of the keyword. */
  pointer: string;
  /** The object that it is a keyword of. */
  owner: Record<string, unknown>;
  /** Absolute URI that references in it are relative to. */
  base: string;
}

/**
 * Every keyword of a schema, also below keywords that no draft knows.
 * @param base absolute URI that the schema's `$id` and `$ref`s are relative to
 */
export function* keywordsOf(schema: unknown, base: string, pointer = ""): Generator<Keyword> {
  if (Array.isArray(schema)) {
    for (const [index, item] of schema.entries())
      yield* keywordsOf(item, base, pointer + pointerSegment(index));
    return;
  }
  if (typeof schema !== "object" || schema === null) return;
  const owner = schema as Record<string, unknown>;
  const inner = identityOf(owner, base) ?? base;
  for (const [name, value] of Object.entries(owner)) {
    const at = pointer + pointerSegment(name);
    yield { name, value, pointer: at, owner, base: inner };
    if (DATA.has(name)) continue;
    if (!MAPS.has(name) || typeof value !== "object" || value === null || Array.isArray(value))
      yield* keywordsOf(value, inner, at);
    else
      for (const [key, child] of Object.entries(value))
        yield* keywordsOf(child, inner, at + pointerSegment(key));
  }
}

/** The absolute URI that a schema's `$id` gives it; undefined when it has none, or only names a place (draft-07). */
export function identityOf(schema: Record<string, unknown>, base: string): string | undefined {
  const id = schema["$id"];
  if (typeof id !== "string" || id.startsWith("#")) return undefined;
  const resolved = resolveUri(id, base);
  return resolved && splitFragment(resolved).document;
}

/** undefined when the reference is no URI. */
export function resolveUri(reference: string, base: string): string | undefined {
  return URL.canParse(reference, base) ? new URL(reference, base).href : undefined;
}

export function splitFragment(uri: string): { document: string; fragment: string } {
  const at = uri.indexOf("#");
  return at < 0 ? { document: uri, fragment: "" } : { document: uri.slice(0, at), fragment: uri.slice(at) };
}
