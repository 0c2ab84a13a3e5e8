/**
 * Telegram's request parameters as JSON Schema, made from a machine-readable copy of its documentation
 * (test/fixtures/telegram): types of the fields, closed, with the lengths and sets of characters that its prose states.
 */
import { readFileSync } from "node:fs";
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import { projectPath } from "../../../scripts/project.ts";

interface Field {
  name: string;
  types: string[];
  required: boolean;
  description: string;
}

interface Entry {
  name: string;
  fields?: Field[];
  subtypes?: string[];
}

interface Spec {
  methods: Record<string, Entry>;
  types: Record<string, Entry>;
}

type Schema = Record<string, unknown>;

const DOCUMENT = "telegram";
const PRIMITIVES: Record<string, Schema> = {
  Integer: { type: "integer" },
  Float: { type: "number" },
  String: { type: "string" },
  Boolean: { type: "boolean" },
  True: { const: true },
};
/** What the prose says in words. */
const OWN_RULES: Record<string, Schema> = {
  "BotCommand.command": { pattern: "^[a-z0-9_]{1,32}$" },
  "setWebhook.secret_token": { pattern: "^[A-Za-z0-9_-]{1,256}$" },
  "setWebhook.max_connections": { minimum: 1, maximum: 100 },
  "setMyCommands.commands": { maxItems: 100 },
  "InlineKeyboardButton.style": { enum: ["danger", "success", "primary"] },
  "sendMessage.parse_mode": { enum: ["HTML", "MarkdownV2", "Markdown"] },
  "editMessageText.parse_mode": { enum: ["HTML", "MarkdownV2", "Markdown"] },
};

const spec = JSON.parse(readFileSync(projectPath("test/fixtures/telegram/outgoing.json"), "utf8")) as Spec;
const ajv = new Ajv2020({ strict: false, allErrors: true });
ajv.addKeyword({
  keyword: "maxBytes",
  type: "string",
  schemaType: "number",
  validate: (most: number, value: string) => Buffer.byteLength(value) <= most,
});
ajv.addSchema(
  {
    $id: DOCUMENT,
    $defs: Object.fromEntries(Object.values(spec.types).map((type) => [type.name, schemaOf(type)])),
  },
  DOCUMENT,
);

const methods = new Map<string, ValidateFunction>();

export function isMethod(name: string): boolean {
  return spec.methods[name] !== undefined;
}

/** Says what is wrong with the parameters of a method; undefined when nothing is. */
export function parametersError(name: string, parameters: unknown): string | undefined {
  const method = spec.methods[name];
  if (method === undefined) return undefined;
  let validate = methods.get(name);
  if (validate === undefined) {
    validate = ajv.compile(schemaOf(method));
    methods.set(name, validate);
  }
  if (validate(parameters)) return undefined;
  const errors = validate.errors ?? [];
  const most = Math.max(...errors.map(({ instancePath }) => instancePath.length));
  return errors
    .filter(({ instancePath }) => instancePath.length === most)
    .map(({ instancePath, message, params }) => `${instancePath} ${message ?? ""} ${JSON.stringify(params)}`)
    .join("; ");
}

function schemaOf({ name, fields, subtypes }: Entry): Schema {
  if (subtypes !== undefined) return { anyOf: subtypes.map(typeSchema) };
  return {
    type: "object",
    properties: Object.fromEntries((fields ?? []).map((field) => [field.name, fieldSchema(name, field)])),
    required: (fields ?? []).filter(({ required }) => required).map((field) => field.name),
    additionalProperties: false,
  };
}

function fieldSchema(owner: string, { name, types, description }: Field): Schema {
  const [only] = types;
  const type = types.length === 1 && only !== undefined ? typeSchema(only) : { anyOf: types.map(typeSchema) };
  return { ...type, ...lengths(description), ...constant(description), ...OWN_RULES[`${owner}.${name}`] };
}

function typeSchema(type: string): Schema {
  if (type.startsWith("Array of "))
    return { type: "array", items: typeSchema(type.slice("Array of ".length)) };
  return PRIMITIVES[type] ?? { $ref: `${DOCUMENT}#/$defs/${type}` };
}

/** `1-4096 characters`, `1-64 bytes`. Those after parsing of entities are counted by whoever parses them. */
function lengths(description: string): Schema {
  const found = /(\d+)-(\d+) (characters|bytes)(?! after entit)/.exec(description);
  if (found === null) return {};
  const [, least, most, unit] = found;
  const limit = unit === "bytes" ? { maxBytes: Number(most) } : { maxLength: Number(most) };
  return { minLength: Number(least), ...limit };
}

function constant(description: string): Schema {
  const found = /(?:, must be|, always "?)\s*([a-z_]+)"?$/.exec(description);
  return found === null ? {} : { const: found[1] };
}
