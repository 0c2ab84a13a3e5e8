/**
 * Bodies against Discord's own OpenAPI (a cut of its requests, test/fixtures/discord). Every object schema is closed:
 * as published, a mistyped field would pass. What the spec says nothing about is in message-rules.ts and
 * command-rules.ts.
 */
import { readFileSync } from "node:fs";
import { Ajv2020, type ErrorObject, type ValidateFunction } from "ajv/dist/2020.js";
import { projectPath } from "../../../scripts/project.ts";
import { invalidForm, type DiscordError } from "./errors.ts";

type Schema = Record<string, unknown>;

interface Spec {
  components: { schemas: Record<string, Schema> };
  paths: Record<string, Record<string, { requestBody?: { content: Record<string, unknown> } }>>;
}

const DOCUMENT = "discord";
const NONCE_CHARS = 25;

const ajv = new Ajv2020({ strict: false, allErrors: true });
ajv.addFormat("int32", { type: "number", validate: (value) => Math.abs(value) < 2 ** 31 });
ajv.addFormat("int64", { type: "number", validate: (value) => Number.isInteger(value) });
ajv.addFormat("double", { type: "number", validate: Number.isFinite });
ajv.addFormat("snowflake", /^\d{1,20}$/);
ajv.addFormat("nonce", (value) => value.length <= NONCE_CHARS);
ajv.addFormat("uri", (value) => URL.canParse(value));
ajv.addFormat("date-time", (value) => !Number.isNaN(Date.parse(value)));

const spec = JSON.parse(
  readFileSync(projectPath("test/fixtures/discord/requests.openapi.json"), "utf8"),
) as Spec;
close(spec);
ajv.addSchema(spec, DOCUMENT);

const compiled = new Map<string, ValidateFunction>();

/** Undefined when the body is right, or when the route takes none. */
export function bodyError(method: string, template: string, body: unknown): DiscordError | undefined {
  const operation = spec.paths[template]?.[method.toLowerCase()];
  if (operation?.requestBody === undefined) return undefined;
  const pointer = [
    "paths",
    template,
    method.toLowerCase(),
    "requestBody",
    "content",
    "application/json",
    "schema",
  ];
  return errorOf(pointer, body);
}

/** The same for a named schema of the spec, as `ModalInteractionCallbackRequest`. */
export function schemaError(name: string, body: unknown): DiscordError | undefined {
  return errorOf(["components", "schemas", name], body);
}

function errorOf(path: string[], body: unknown): DiscordError | undefined {
  const $ref = `${DOCUMENT}#/${path.map((key) => encodeURIComponent(key.replaceAll("~", "~0").replaceAll("/", "~1"))).join("/")}`;
  let validate = compiled.get($ref);
  if (validate === undefined) {
    validate = ajv.compile({ $ref });
    compiled.set($ref, validate);
  }
  if (validate(body)) return undefined;
  return invalidForm(deepest(validate.errors ?? []));
}

/** Of what a union says, the deepest place tells most. */
function deepest(errors: ErrorObject[]): Array<{ path: string[]; message: string; code: string }> {
  const depth = (error: ErrorObject): number => error.instancePath.split("/").length;
  const most = Math.max(...errors.map(depth));
  return errors
    .filter((error) => depth(error) === most)
    .map((error) => ({
      path: error.instancePath.split("/").slice(1),
      message: `${error.message ?? "is wrong"} ${JSON.stringify(error.params)}`,
      code: `BASE_TYPE_${error.keyword.toUpperCase()}`,
    }));
}

/** Closes every object schema, and has every union of components, options or answers decided by their `type`. */
function close(schema: unknown): void {
  if (Array.isArray(schema)) {
    schema.forEach(close);
    return;
  }
  if (typeof schema !== "object" || schema === null) return;
  const object = schema as Schema;
  const { type } = object;
  const isObject = type === "object" || (Array.isArray(type) && type.includes("object"));
  if (isObject && object["properties"] !== undefined) object["additionalProperties"] ??= false;
  for (const union of ["oneOf", "anyOf"]) if (Array.isArray(object[union])) decideByType(object, union);
  for (const value of Object.values(object)) close(value);
}

/** As published, one wrong value brings an error of every branch. The verdict stays the same. */
function decideByType(object: Schema, union: string): void {
  const branches = (object[union] as Schema[]).map((branch) => ({ branch, types: typesOf(branch) }));
  const all = branches.flatMap(({ types }) => types ?? []);
  if (branches.some(({ types }) => types === undefined) || new Set(all).size < all.length) return;
  delete object[union];
  object["required"] = ["type"];
  object["properties"] = { type: { enum: all } };
  object["allOf"] = branches.map(({ branch, types }) => ({
    if: { properties: { type: { enum: types } }, required: ["type"] },
    then: branch,
  }));
}

/** The values of `type` that lead to a branch; undefined when it does not hang on them. */
function typesOf({ $ref }: Schema): unknown[] | undefined {
  const name = typeof $ref === "string" ? $ref.split("/").at(-1) : undefined;
  const schema = name === undefined ? undefined : spec.components.schemas[name];
  const required = schema?.["required"] as string[] | undefined;
  if (required?.includes("type") !== true) return undefined;
  return (schema?.["properties"] as { type?: { enum?: unknown[] } } | undefined)?.type?.enum;
}
