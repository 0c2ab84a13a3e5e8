/**
 * Whether providers take a JSON Schema for structured output, which Codex always asks for as strict: what they refuse costs
 * a run its turn. The rules are those of OpenAI's guide to structured outputs ("Supported schemas"). Pure.
 */
import { pointerSegment } from "../../../catalog/toml-positions.ts";

export interface SchemaComplaint {
  /** JSON pointer; "" is the schema itself. */
  pointer: string;
  /** Reads on from the pointer. */
  message: string;
}

const REFUSED = [
  ...["allOf", "oneOf", "not", "if", "then", "else", "dependentRequired", "dependentSchemas"],
  ...["patternProperties", "propertyNames", "unevaluatedProperties", "minProperties", "maxProperties"],
  ...["unevaluatedItems", "contains", "minContains", "maxContains", "uniqueItems"],
];
/** Deeper ones are refused, and nothing here may run for ever. */
const DEPTH_MAX = 10;

type Schema = Record<string, unknown>;

export function strictComplaints(schema: Schema, pointer = "", depth = 0): SchemaComplaint[] {
  const complain = (at: string, message: string): SchemaComplaint => ({ pointer: pointer + at, message });
  if (depth > 2 * DEPTH_MAX)
    return [complain("", `is nested deeper than the ${DEPTH_MAX} levels that providers take`)];
  const { properties, items, anyOf, required } = schema;
  const refused = REFUSED.filter((key) => key in schema).map((key) =>
    complain(pointerSegment(key), "is not taken by providers in structured output"),
  );
  const open =
    isObjectSchema(schema) && schema["additionalProperties"] !== false
      ? [complain("", "must say additionalProperties: false")]
      : [];
  const named = Array.isArray(required) ? required : [];
  const optional = Object.keys(isSchema(properties) ? properties : {}).filter((key) => !named.includes(key));
  const missing =
    optional.length === 0
      ? []
      : [
          complain(
            "/required",
            `must name all properties, and lacks ${optional.join(", ")}: let one that may be absent be null ("type": ["string", "null"])`,
          ),
        ];
  const below = [
    ...["properties", "$defs", "definitions"].flatMap((key) => members(schema[key], pointerSegment(key))),
    ...(isSchema(items) ? [["/items", items] as const] : []),
    ...(Array.isArray(anyOf) ? members(Object.assign({}, anyOf), "/anyOf") : []),
  ];
  return [
    ...open,
    ...missing,
    ...refused,
    ...below.flatMap(([at, inner]) => strictComplaints(inner, pointer + at, depth + 1)),
  ];
}

function members(value: unknown, at: string): Array<readonly [string, Schema]> {
  if (!isSchema(value)) return [];
  return Object.entries(value).flatMap(([key, inner]) =>
    isSchema(inner) ? [[at + pointerSegment(key), inner] as const] : [],
  );
}

function isObjectSchema({ type, properties }: Schema): boolean {
  return type === "object" || (Array.isArray(type) && type.includes("object")) || properties !== undefined;
}

function isSchema(value: unknown): value is Schema {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}
