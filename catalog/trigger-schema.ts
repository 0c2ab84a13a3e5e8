/**
 * Trigger schemas: which JSON Schemas a step may name, and the ajv that compiles them. The check of a package and
 * the build use the same compiler, so that what passes one cannot fail in the other.
 *
 * Strict about what would make a schema accept more than its author meant (unknown keywords, unknown formats,
 * unknown drafts); lenient about style (union types, types left out, loose tuples).
 */
import { Ajv, type ErrorObject, type Options } from "ajv";
import { Ajv2020 } from "ajv/dist/2020.js";
import type AjvCore from "ajv/dist/core.js";
import addFormats from "ajv-formats";
import type { PackageFault } from "./fault.ts";

/** A parsed JSON Schema: a table of keywords, or a boolean that accepts everything or nothing. */
export type TriggerSchema = Record<string, unknown> | boolean;

const DRAFT_07 = "http://json-schema.org/draft-07/schema";
const DRAFT_2020_12 = "https://json-schema.org/draft/2020-12/schema";

const OPTIONS: Options = {
  strictSchema: true,
  strictTypes: false,
  strictTuples: false,
  strictRequired: false,
  allowUnionTypes: true,
  allowMatchingProperties: true,
  // Checked once, by the shared instance of the draft: the meta-schema costs far more than most schemas.
  validateSchema: false,
  code: { source: true },
};

const META: Options = { allErrors: true, logger: false };
let metaDraft07: AjvCore | undefined;
let metaDraft2020: AjvCore | undefined;

/** A compiler for this one schema: two packages may well use the same `$id`, so none is shared. */
export function schemaCompiler(schema: TriggerSchema, { allErrors = true } = {}): AjvCore {
  const options = { ...OPTIONS, allErrors };
  const compiler: AjvCore = isDraft07(schema) ? new Ajv(options) : new Ajv2020(options);
  addFormats(compiler);
  return compiler;
}

/** Reads a schema's text. `file` is where it stands, for the faults. */
export function parseTriggerSchema(
  text: string,
  file: string,
): { schema: TriggerSchema } | { faults: PackageFault[] } {
  let schema: unknown;
  try {
    schema = JSON.parse(text);
  } catch (error) {
    const { position, reason } = readJsonError(text, error instanceof Error ? error.message : String(error));
    return { faults: [{ file, ...position, path: "", message: `is not JSON: ${reason}` }] };
  }
  const complaints = isSchemaShaped(schema)
    ? schemaComplaints(schema)
    : [{ path: "", message: "must be a JSON Schema: an object, true or false" }];
  if (complaints.length === 0) return { schema: schema as TriggerSchema };
  return { faults: complaints.map((complaint) => ({ file, line: 1, column: 1, ...complaint })) };
}

interface Complaint {
  /** JSON pointer into the schema. */
  path: string;
  message: string;
}

function schemaComplaints(schema: TriggerSchema): Complaint[] {
  if (typeof schema === "object") {
    const draft = schema["$schema"];
    if (draft !== undefined && !isDraft(draft, DRAFT_07) && !isDraft(draft, DRAFT_2020_12))
      return [{ path: "/$schema", message: `is not supported: use ${DRAFT_2020_12} or ${DRAFT_07}#` }];
    if (schema["$async"] !== undefined)
      return [{ path: "/$async", message: "is not supported: a payload is checked at once" }];
  }
  const meta = isDraft07(schema) ? (metaDraft07 ??= new Ajv(META)) : (metaDraft2020 ??= new Ajv2020(META));
  if (meta.validateSchema(schema) !== true) return firstOfEachPath(meta.errors ?? []);
  try {
    schemaCompiler(schema).compile(schema);
    return [];
  } catch (error) {
    return [
      { path: "", message: `cannot be compiled: ${error instanceof Error ? error.message : String(error)}` },
    ];
  }
}

/** A meta-schema says the same fault once for each alternative it knows; the first one is the telling one. */
function firstOfEachPath(errors: ErrorObject[]): Complaint[] {
  const seen = new Map<string, Complaint>();
  for (const { instancePath, message, params } of errors) {
    if (seen.has(instancePath)) continue;
    const allowed: unknown = (params as Record<string, unknown>)["allowedValues"];
    const values = Array.isArray(allowed) ? `: ${allowed.join(", ")}` : "";
    seen.set(instancePath, { path: instancePath, message: `${message ?? "is not valid"}${values}` });
  }
  return [...seen.values()];
}

function isSchemaShaped(value: unknown): value is TriggerSchema {
  return typeof value === "boolean" || (typeof value === "object" && value !== null && !Array.isArray(value));
}

/** A schema that names no draft is one of the current draft. */
function isDraft07(schema: TriggerSchema): boolean {
  return typeof schema === "object" && isDraft(schema["$schema"], DRAFT_07);
}

function isDraft(value: unknown, draft: string): boolean {
  return value === draft || value === `${draft}#`;
}

/** Where JSON.parse stopped, by its own words: "… in JSON at position 49 (line 2 column 6)"; without them, the end. */
function readJsonError(
  text: string,
  message: string,
): { position: { line: number; column: number }; reason: string } {
  const place = /\s*(?:in JSON )?at position (\d+).*$/s.exec(message);
  const before = text.slice(0, place === null ? text.length : Number(place[1])).split("\n");
  return {
    position: { line: before.length, column: (before.at(-1)?.length ?? 0) + 1 },
    reason: place === null ? message : message.slice(0, place.index),
  };
}
