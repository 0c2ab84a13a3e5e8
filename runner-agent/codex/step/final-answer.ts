/**
 * The final answer of a codex step: asked for as structured output with the FLOW_RESULT schema, and checked, since
 * Codex itself does not look whether the model has kept to it.
 */
import { createRequire } from "node:module";
import { readTextFileSync } from "../../../catalog/text-file.ts";
import { checkResult, RESULT_STATUSES, resultFault, type FlowResult } from "../../../contract/flow-result.ts";
import { changedNumbers } from "../../../contract/json-numbers.ts";
import { FinalAnswer } from "../../../contract/generated/codex-validators.js";
import type { CompiledCheck } from "../../../contract/validate.ts";

export interface AnswerForm {
  /** JSON Schema as providers demand it for structured output: closed objects, every member required. */
  schema: Record<string, unknown>;
  /** The result that an answer says, or what is wrong with it. */
  read(text: string): { result: FlowResult } | { wrong: string };
}

/** The schema of the step's output cannot be used. */
export class OutputSchemaError extends Error {
  override readonly name = "OutputSchemaError";
  /** Absolute path. */
  readonly file: string;
  readonly reason: string;

  constructor(file: string, reason: string) {
    super(`output schema ${file}: ${reason}`);
    this.file = file;
    this.reason = reason;
  }
}

/** @param outputFile of a JSON Schema: then `artifacts.output` of the result has its form @throws OutputSchemaError */
export function answerForm(outputFile: string | undefined): AnswerForm {
  const output = outputFile === undefined ? undefined : readOutputSchema(outputFile);
  const schema = {
    type: "object",
    additionalProperties: false,
    required: ["status", "message", ...(output === undefined ? [] : ["output"])],
    properties: {
      status: { type: "string", enum: [...RESULT_STATUSES] },
      message: { type: "string" },
      ...(output === undefined ? {} : { output }),
    },
  };
  const check = outputFile === undefined ? FinalAnswer : compiled(schema, outputFile);
  return {
    schema,
    read(text) {
      let value: unknown;
      try {
        value = JSON.parse(text);
      } catch (error) {
        return { wrong: `it is not JSON: ${error instanceof Error ? error.message : String(error)}` };
      }
      const changed = changedNumbers(text)[0];
      if (changed !== undefined) return { wrong: `${changed.path} ${changed.message}` };
      if (!check(value))
        return {
          wrong: (check.errors ?? [])
            .map((fault) => `${fault.instancePath || "it"} ${fault.message ?? fault.keyword}`)
            .join("; "),
        };
      const { status, message, output: said } = value as FlowResult & { output?: unknown };
      const checked = checkResult({
        status,
        message,
        ...(said === undefined ? {} : { artifacts: { output: said } }),
      });
      if (checked.kind !== "result") return { wrong: checked.message };
      const wrong = resultFault(checked.result);
      return wrong === undefined ? { result: checked.result } : { wrong: `it ${wrong}` };
    },
  };
}

/** @throws OutputSchemaError */
export function readOutputSchema(file: string): Record<string, unknown> {
  try {
    const schema: unknown = JSON.parse(readTextFileSync(file));
    if (schema !== null && typeof schema === "object" && !Array.isArray(schema))
      return schema as Record<string, unknown>;
  } catch (error) {
    throw new OutputSchemaError(file, error instanceof Error ? error.message : String(error));
  }
  throw new OutputSchemaError(file, "it is no JSON object");
}

/** Compiling one takes longer than Codex takes for a thread; the schemas of a box's steps are few. */
const COMPILED_MAX = 64;
const known = new Map<string, CompiledCheck>();

function compiled(schema: object, file: string): CompiledCheck {
  const text = JSON.stringify(schema);
  const check = known.get(text) ?? compile(schema, file);
  if (known.size >= COMPILED_MAX) known.clear();
  known.set(text, check);
  return check;
}

function compile(schema: object, file: string): CompiledCheck {
  // Loaded by the first step that brings a schema: that takes as long as loading all else of Codex's.
  const { Ajv2020 } = createRequire(import.meta.url)("ajv/dist/2020.js") as typeof import("ajv/dist/2020.js");
  try {
    return new Ajv2020({ allErrors: true, strict: false }).compile(schema);
  } catch (error) {
    throw new OutputSchemaError(file, error instanceof Error ? error.message : String(error));
  }
}

/** What the model is told when its answer cannot be read: it has one more turn. */
export function correction(wrong: string): string {
  return `Your final answer could not be read: ${wrong}. Do no further work; answer again with only the JSON object that was asked for: status, message and whatever else the schema names.`;
}
