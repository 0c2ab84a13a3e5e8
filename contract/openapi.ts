/**
 * The OpenAPI 3.1 document, made from the routes and schemas of this folder. Pure; the build writes it down.
 *
 * OpenAPI has no word for the frames of a WebSocket: they stand under `x-websocket` of the route that opens it, `up` to
 * the edge and `down` from it, a schema for each `type` of frame.
 */
import type { TSchema } from "typebox";
import { ErrorBody } from "./errors.ts";
import { HTTP_ROUTES, type HttpRoute } from "./http.ts";

const ERROR_STATUSES: Record<string, string> = {
  400: "The request cannot be read",
  401: "No valid credentials",
  403: "The credentials do not allow this",
  404: "There is no such thing",
  409: "It contradicts the present state",
  413: "Larger than the bound that the message names",
  415: "Not JSON",
  422: "It breaks the schema; details name each path",
};

export interface OpenApiDocument {
  openapi: string;
  info: { title: string; version: string; description: string };
  paths: Record<string, Record<string, unknown>>;
  components: Record<string, unknown>;
}

export function openApiDocument(version: string): OpenApiDocument {
  const registry = new SchemaRegistry();
  const paths: OpenApiDocument["paths"] = {};
  for (const route of HTTP_ROUTES) (paths[route.path] ??= {})[route.method] = operation(route, registry);
  if (paths["/events"] !== undefined) paths["/flow-events"] = paths["/events"];
  return {
    openapi: "3.1.0",
    info: {
      title: "codex-flow-edge",
      version,
      description: "Send events, watch and steer runs. Errors are {error: {code, message, details}}.",
    },
    paths,
    components: {
      schemas: { ...registry.schemas, Error: registry.refer(ErrorBody) },
      securitySchemes: {
        bearer: {
          type: "http",
          scheme: "bearer",
          description: "A token; x-api-key and x-patch-admin-token are the same",
        },
        signature: {
          type: "apiKey",
          in: "header",
          name: "x-flow-signature-256",
          description:
            "sha256=<hex HMAC-SHA256 of the exact body>; POST /events accepts Standard Webhooks headers too",
        },
      },
    },
  };
}

function operation(route: HttpRoute, registry: SchemaRegistry): Record<string, unknown> {
  const content = (schema: TSchema) => ({ "application/json": { schema: registry.refer(schema) } });
  const pathParameters = [...route.path.matchAll(/\{(\w+)\}/g)].map((match) => ({
    name: match[1],
    in: "path",
    required: true,
    schema: { type: "string" },
  }));
  const queryParameters = Object.entries(route.query ?? {}).map(([name, schema]) => ({
    name,
    in: "query",
    required: false,
    schema: registry.refer(schema),
  }));
  const errors = Object.entries(ERROR_STATUSES).filter(
    ([status]) => route.scopes.length > 0 || status === "400",
  );
  return {
    summary: route.summary,
    parameters: [...pathParameters, ...queryParameters],
    ...(route.body === undefined ? {} : { requestBody: { required: true, content: content(route.body) } }),
    security:
      route.scopes.length === 0
        ? []
        : [
            ...route.scopes.map((scope) => ({ bearer: [scope] })),
            ...(route.signed === true ? [{ signature: [] }] : []),
          ],
    ...(route.frames === undefined
      ? {}
      : { "x-websocket": { up: registry.refer(route.frames.up), down: registry.refer(route.frames.down) } }),
    responses: {
      [String(route.success.status)]: {
        description: route.success.status === 101 ? "The socket is open" : "Done",
        ...(route.success.schema === undefined ? {} : { content: content(route.success.schema) }),
      },
      ...(route.alternative === undefined
        ? {}
        : {
            [String(route.alternative.status)]: {
              description: route.alternative.description,
              content: content(route.alternative.schema),
            },
          }),
      ...Object.fromEntries(
        errors.map(([status, description]) => [
          status,
          {
            description,
            content: { "application/json": { schema: { $ref: "#/components/schemas/Error" } } },
          },
        ]),
      ),
    },
  };
}

/** A schema with an `$id` stands once, under components, and is referred to everywhere else. */
class SchemaRegistry {
  readonly schemas: Record<string, unknown> = {};

  refer(schema: unknown): unknown {
    if (Array.isArray(schema)) return schema.map((inner) => this.refer(inner));
    if (schema === null || typeof schema !== "object") return schema;
    const { $id, ...rest } = schema as Record<string, unknown>;
    const plain = Object.fromEntries(Object.entries(rest).map(([key, inner]) => [key, this.refer(inner)]));
    if (typeof $id !== "string") return plain;
    this.schemas[$id] = plain;
    return { $ref: `#/components/schemas/${$id}` };
  }
}
