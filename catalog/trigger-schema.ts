/**
 * Trigger schemas: which JSON Schemas a step may name, and the code that checks payloads against them. The check of a
 * package, the build of the edge and local mode use the same code, so that what passes one cannot fail in another.
 *
 * Any valid schema of draft-07 and draft 2020-12 compiles. As the drafts say, unknown keywords and formats are
 * annotations. Refused are schemas that refer to what is not in the package, and patterns that could stall the edge.
 */
import { createRequire } from "node:module";
import { compileFunction } from "node:vm";
import {
  _,
  Ajv,
  MissingRefError,
  Name,
  type CodeKeywordDefinition,
  type ErrorObject,
  type KeywordCxt,
  type Options,
} from "ajv";
import { Ajv2020 } from "ajv/dist/2020.js";
import type AjvCore from "ajv/dist/core.js";
import standaloneCode from "ajv/dist/standalone/index.js";
import type { CompiledCheck } from "../contract/validate.ts";
import type { PackageFault } from "./fault.ts";
import { locateJson } from "./json-positions.ts";
import { patternCost } from "./pattern-cost.ts";
import * as payloadChecks from "./payload-checks.ts";
import {
  gatherDocuments,
  type ReadDocument,
  type SchemaDocument,
  type SchemaFile,
  type SchemaFiles,
  type TriggerSchema,
} from "./schema-documents.ts";
import { keywordsOf, resolveUri } from "./schema-walk.ts";
import { pointerSegment } from "./toml-positions.ts";

export type { TriggerSchema } from "./schema-documents.ts";

/** A schema that is known to compile. */
export interface CompilableSchema {
  /** The schema itself, then the files of the package that it refers to. */
  documents: SchemaDocument[];
  /** Patterns whose worst case is a polynomial of this degree; the others are linear. */
  degrees: Record<string, number>;
}

const DRAFT_07 = "http://json-schema.org/draft-07/schema";
const DRAFT_2020_12 = "https://json-schema.org/draft/2020-12/schema";
const RUNTIME_MODULE = "./payload-checks.ts";

const OPTIONS: Options = {
  strict: false,
  logger: false,
  allowMatchingProperties: true,
  // A property is one of the payload's own: `{}` has no "constructor".
  ownProperties: true,
  // Checked once, by the shared instance of the draft: the meta-schema costs far more than most schemas.
  validateSchema: false,
};

const META: Options = { allErrors: true, strict: false, logger: false };
let metaDraft07: AjvCore | undefined;
let metaDraft2020: AjvCore | undefined;

/**
 * Reads a schema, and what it refers to.
 * @param files how it finds the other files of its package
 */
export async function readTriggerSchema(
  { text, path, file }: Omit<SchemaFile, "schema">,
  files: SchemaFiles,
): Promise<
  { schema: TriggerSchema; compilable: CompilableSchema; paths: string[] } | { faults: PackageFault[] }
> {
  const parsed = parseSchema(text, file);
  if ("faults" in parsed) return parsed;
  const { schema } = parsed;
  const gathered = await gatherDocuments({ text, path, file, schema }, files);
  if ("faults" in gathered) return gathered;
  const { documents } = gathered;
  const faults = documents.flatMap((document) =>
    complaintsAbout(document.schema).map((complaint) => faultIn(document.source, complaint)),
  );
  if (faults.length > 0) return { faults };
  const compilable: CompilableSchema = {
    documents: documents.map(({ uri, schema: read }) => ({ uri, schema: read })),
    degrees: {},
  };
  try {
    compilerFor(compilable, true);
    return { schema, compilable, paths: documents.map(({ source }) => source.path) };
  } catch (error) {
    return { faults: [compileFault(error, documents)] };
  }
}

/** The JSON of a schema's text. */
export function parseSchema(
  text: string,
  file: string,
): { schema: TriggerSchema } | { faults: PackageFault[] } {
  const fault = (message: string, position = { line: 1, column: 1 }): { faults: PackageFault[] } => ({
    faults: [{ file, ...position, path: "", message }],
  });
  let schema: unknown;
  try {
    schema = JSON.parse(text);
  } catch (error) {
    const { position, reason } = readJsonError(text, error instanceof Error ? error.message : String(error));
    return fault(`is not JSON: ${reason}`, position);
  }
  if (isSchemaShaped(schema)) return { schema };
  return fault("must be a JSON Schema: an object, true or false");
}

/** Source of a CommonJS module that exports the check of one schema; its only import is payload-checks.ts. */
export function triggerCode(compilable: CompilableSchema, { allErrors }: { allErrors: boolean }): string {
  const { compiler, check } = compilerFor(compilable, allErrors);
  return countSteps(
    standaloneCode(compiler, check).replaceAll(
      'require("ajv/dist/runtime/ucs2length").default',
      `require("${RUNTIME_MODULE}").charactersOf`,
    ),
  );
}

/** The check of one schema, here and now. */
export function compileTrigger(compilable: CompilableSchema, { allErrors = true } = {}): CompiledCheck {
  const module: { exports: unknown } = { exports: {} };
  const requireRuntime = (id: string): unknown =>
    id === RUNTIME_MODULE ? payloadChecks : (createRequire(import.meta.url)(id) as unknown);
  const run = compileFunction(triggerCode(compilable, { allErrors }), ["module", "require"]) as (
    module: unknown,
    require: (id: string) => unknown,
  ) => void;
  run(module, requireRuntime);
  return payloadChecks.withBudget(module.exports as CompiledCheck);
}

/** Calls make errors and paths, which costs more than a turn of a loop. */
const STEPS_PER_CALL = 20;
const STRING_LITERAL = /"(?:[^"\\]|\\.)*"/;
const FUNCTION_START = /function validate\d+\(data, \{[^()]*\}=\{\}\)\{/;
const LOOP_START =
  /for\((?:let i\d+=[^;()]*;\s*i\d+<[^;()]*;\s*i\d+\+\+|const \w+ (?:in \w+|of Object\.keys\(\w+\)))\)\{/;
const ERRORS_JOINED = /vErrors === null \? \w+\.errors : vErrors\.concat\(\w+\.errors\);/;
/** Parts of ajv's code that count. Strings come first, so that a text that looks like code is skipped. */
const COUNTED_CODE = new RegExp(
  `${STRING_LITERAL.source}|(?<call>${FUNCTION_START.source})|(?<loop>${LOOP_START.source})|(?<errors>${ERRORS_JOINED.source})`,
  "g",
);

/** Makes generated code spend steps as it goes: a schema that branches may take exponential time. */
function countSteps(code: string): string {
  const counted = code.replace(
    COUNTED_CODE,
    (whole: string, call?: string, loop?: string, errors?: string) => {
      if (call !== undefined) return `${whole}spend(${STEPS_PER_CALL});`;
      if (loop !== undefined) return `${whole}spend(1);`;
      return errors === undefined ? whole : `${whole}spend(vErrors.length);`;
    },
  );
  return `const { spend } = require("${RUNTIME_MODULE}");\n${counted}`;
}

/** Two packages may well use the same `$id`, so each schema gets a compiler of its own. */
function compilerFor(
  { documents, degrees }: CompilableSchema,
  allErrors: boolean,
): { compiler: AjvCore; check: ReturnType<AjvCore["compile"]> } {
  const [first, ...others] = documents;
  if (first === undefined) throw new Error("a trigger schema has no document");
  const options: Options = {
    ...OPTIONS,
    allErrors,
    code: { source: true, regExp: patternMaker(degrees), formats: _`require(${RUNTIME_MODULE}).formats` },
  };
  // All documents are read as the first one's draft.
  const compiler: AjvCore = isDraft07(first.schema) ? new Ajv(options) : new Ajv2020(options);
  for (const [name, validate] of Object.entries(payloadChecks.formats)) compiler.addFormat(name, validate);
  for (const definition of KEYWORDS) {
    compiler.removeKeyword(String(definition.keyword));
    compiler.addKeyword(definition);
  }
  for (const { uri, schema } of others) compiler.addSchema(schema, uri);
  compiler.addSchema(first.schema, first.uri);
  const check = compiler.getSchema(first.uri);
  if (check === undefined) throw new Error(`there is no schema ${first.uri}`);
  return { compiler, check };
}

/** Ajv calls it for each pattern, and puts `code` into what it generates. */
function patternMaker(degrees: Record<string, number>): NonNullable<NonNullable<Options["code"]>["regExp"]> {
  const make = (source: string): { test: (text: string) => boolean; toString: () => string } => {
    const cost = patternCost(source);
    if (cost === "exponential") throw new Error(`the pattern ${source} takes exponential time`);
    if (cost > 1) degrees[source] = cost;
    const { test } = payloadChecks.patternsOf(degrees)(source);
    // Ajv shares the patterns that have the same text.
    return { test, toString: () => source };
  };
  return Object.assign(make, {
    get code() {
      return `require("${RUNTIME_MODULE}").patternsOf(${JSON.stringify(degrees)})`;
    },
  });
}

const rootData = new Name("rootData");

/** Ajv compares values by calling their methods, which throws on {"toString": ""}, and each with each. */
const KEYWORDS: CodeKeywordDefinition[] = [
  {
    keyword: "uniqueItems",
    type: "array",
    schemaType: "boolean",
    error: {
      message: "must NOT have duplicate items",
      params: ({ params }) => _`{i: ${params["found"]}.i, j: ${params["found"]}.j}`,
    },
    code: (cxt) => {
      if (cxt.schema !== true) return;
      const find = runtimeFunction(cxt, "duplicateItems", payloadChecks.duplicateItems);
      const found = cxt.gen.const("found", _`${find}(${cxt.data}, ${rootData})`);
      cxt.setParams({ found });
      cxt.fail(_`${found} !== undefined`);
    },
  },
  {
    keyword: "enum",
    schemaType: "array",
    error: {
      message: "must be equal to one of the allowed values",
      params: ({ params }) => _`{allowedValues: ${params["member"]}.allowed}`,
    },
    code: (cxt) => {
      failUnlessMember(cxt, cxt.schema as unknown[]);
    },
  },
  {
    keyword: "const",
    error: {
      message: "must be equal to constant",
      params: ({ params }) => _`{allowedValue: ${params["member"]}.allowed[0]}`,
    },
    code: (cxt) => {
      failUnlessMember(cxt, [cxt.schema]);
    },
  },
];

function failUnlessMember(cxt: KeywordCxt, allowed: unknown[]): void {
  const json = JSON.stringify(allowed);
  const member = cxt.gen.scopeValue("func", {
    key: json,
    ref: payloadChecks.memberOf(json),
    code: _`require(${RUNTIME_MODULE}).memberOf(${json})`,
  });
  cxt.setParams({ member });
  cxt.fail(_`!${member}(${cxt.data})`);
}

function runtimeFunction({ gen }: KeywordCxt, name: string, ref: unknown): Name {
  return gen.scopeValue("func", { key: name, ref, code: _`require(${RUNTIME_MODULE}).${new Name(name)}` });
}

interface Complaint {
  /** JSON pointer into the schema. */
  path: string;
  message: string;
}

function complaintsAbout(schema: TriggerSchema): Complaint[] {
  if (typeof schema === "object") {
    const draft = schema["$schema"];
    if (draft !== undefined && !isDraft(draft, DRAFT_07) && !isDraft(draft, DRAFT_2020_12))
      return [{ path: "/$schema", message: `is not supported: use ${DRAFT_2020_12} or ${DRAFT_07}#` }];
    if (schema["$async"] !== undefined)
      return [{ path: "/$async", message: "is not supported: a payload is checked at once" }];
  }
  const meta = isDraft07(schema) ? (metaDraft07 ??= new Ajv(META)) : (metaDraft2020 ??= new Ajv2020(META));
  if (meta.validateSchema(schema) !== true) return firstOfEachPath(meta.errors ?? []);
  return badPatterns(schema);
}

function badPatterns(schema: TriggerSchema): Complaint[] {
  return [...keywordsOf(schema, "file:///")].flatMap(({ name, value, pointer }) => {
    if (name === "pattern" && typeof value === "string") return badPattern(value, pointer);
    if (name === "patternProperties" && typeof value === "object" && value !== null)
      return Object.keys(value).flatMap((source) => badPattern(source, pointer + pointerSegment(source)));
    return [];
  });
}

function badPattern(source: string, path: string): Complaint[] {
  try {
    payloadChecks.regExpOf(source);
  } catch (error) {
    return [{ path, message: `is no pattern: ${error instanceof Error ? error.message : String(error)}` }];
  }
  if (patternCost(source) !== "exponential") return [];
  return [
    {
      path,
      message:
        "takes exponential time on some texts, so that one event could stall the edge: let no repetition contain another one that matches the same characters",
    },
  ];
}

function faultIn({ file, text }: SchemaFile, { path, message }: Complaint): PackageFault {
  return { file, ...locateJson(text)(path), path, message };
}

function compileFault(error: unknown, documents: ReadDocument[]): PackageFault {
  const message = `cannot be compiled: ${error instanceof Error ? error.message : String(error)}`;
  if (error instanceof MissingRefError)
    for (const { schema, uri, source } of documents)
      for (const { name, value, base, pointer } of keywordsOf(schema, uri))
        if (name.endsWith("ef") && typeof value === "string" && resolveUri(value, base) === error.missingRef)
          return faultIn(source, { path: pointer, message: `leads to nothing: ${value}` });
  const [first] = documents;
  if (first === undefined) throw error;
  return faultIn(first.source, { path: "", message });
}

/** A meta-schema reports the same fault once for each alternative it knows; the first one says most. */
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
