/** docs/http.md from the OpenAPI document and from answers that a real edge has given. Pure. */
import type { OpenApiDocument } from "../../contract/openapi.ts";

/** Real requests and answers by route ("POST /events"). */
export type HttpExamples = Partial<Record<string, { request: string; answer: unknown }[]>>;

interface JsonSchema {
  $ref?: string;
  type?: string | string[];
  enum?: unknown[];
  anyOf?: JsonSchema[];
  items?: JsonSchema;
  properties?: Record<string, JsonSchema>;
  required?: string[];
  description?: string;
  format?: string;
  minLength?: number;
  maxLength?: number;
  minimum?: number;
}
interface Content {
  "application/json"?: { schema: JsonSchema };
}
interface Operation {
  summary: string;
  parameters: { name: string; in: string; schema: JsonSchema }[];
  requestBody?: { content: Content };
  security: Partial<Record<string, string[]>>[];
  responses: Record<string, { description: string; content?: Content }>;
  "x-websocket"?: Frames;
}
/** Frames of a socket by their type, to the edge and from it. */
interface Frames {
  up: Record<string, JsonSchema>;
  down: Record<string, JsonSchema>;
}

/** Everything below the two hundreds and the upgrade is an error, and all errors have one form. */
const FIRST_ERROR_STATUS = 400;

const INTRODUCTION = `# HTTP reference

Made by \`node scripts/build-docs.ts\` from the OpenAPI document, which every edge also serves at \`GET /openapi.json\`. Do not edit it by hand.

Bodies are JSON in UTF-8. The \`content-type\` should say so; without one, or with what \`curl -d\` says of everything, they are read as JSON all the same. The examples expect the address of the edge in \`CODEX_FLOW_URL\` and a token in \`CODEX_FLOW_TOKEN\`; their answers are those of a real edge. A body may be compressed with \`content-encoding: gzip\`, \`deflate\` or \`br\`; any other encoding gets 415. Its bound counts the bytes as sent, the bytes that they unpack to, and, for an event, the JSON as the edge writes it again. Numbers are read as doubles: a fraction rounds, and an integer that would arrive as another one, or a number that is too large, gets 422 with its JSON pointer. Send such an id as a string. An id in a path is percent-encoded: \`release:1.2\` is \`release%3A1.2\`.

## Credentials

A token goes into \`authorization: Bearer <token>\`; \`x-api-key: <token>\` and \`x-patch-admin-token: <token>\` are the same. What it may do is its scope; which secret gives which scope stands in [deploy.md](deploy.md#secrets). Events and replays may be signed instead:

\`\`\`sh
body='{"id":"signed:1","type":"demo.hello","payload":{"name":"Ada"}}'
signature=$(printf %s "$body" | openssl dgst -sha256 -hmac "$EVENT_SECRET" | sed 's/^.* //')
curl -X POST "$CODEX_FLOW_URL/events" -H "content-type: application/json" \\
  -H "x-flow-signature-256: sha256=$signature" -d "$body"
\`\`\`

\`x-patch-flow-signature-256\` is the same header under its old name. [Standard Webhooks](https://www.standardwebhooks.com) headers (\`webhook-id\`, \`webhook-timestamp\`, \`webhook-signature\`) are checked with \`WEBHOOK_SECRETS\`, for events alone. A signature covers the exact bytes of the body as sent, before they are unpacked. A request with a token and a signature must have both right.

A signature covers neither the path nor a time. Whoever has recorded a signed replay may send it again, for any event id; each repetition makes new runs, up to 200 of one event. HTTPS keeps others from recording it.

A token of the list \`PATH_TOKENS\` may stand in the path, for clients that can be given an address and nothing else: \`https://<edge>/t/<token>/events\`, \`/t/<token>/runs\` and so on. It may send, replay and read. Tokens of the other lists do not count there, and path tokens count nowhere else. A token in a header goes before one in the path.

## What a caller learns

A caller without \`runs:read\` gets [RunStatus](#runstatus) in place of whole runs: the id and how the run stands. The result and the error are added only for runs that this very request has started from the event that it brought, so \`?wait=\` is of use to senders, and a guessed id of somebody else's event tells nothing.

## Webhooks of other products

An event is \`{"id", "type", "payload"}\`, and no webhook of others has that form. GitHub, Standard Webhooks with their usual body (\`{"type", "timestamp", "data"}\`), Svix and CloudEvents get 422 \`foreign_webhook\` with what to do, or 401 without credentials of this edge. Something in between has to make an event of them: take the id from \`x-github-delivery\`, \`webhook-id\`, \`svix-id\` or \`ce-id\`, so that a delivery that comes twice starts nothing twice.

On GitHub, a workflow does it without a server. It sends what started it:

\`\`\`yaml
# .github/workflows/codex-flow.yml
on:
  pull_request:
    types: [opened, reopened, ready_for_review, synchronize]
jobs:
  send:
    runs-on: ubuntu-latest
    steps:
      - env:
          EDGE: \${{ vars.CODEX_FLOW_URL }}
          TOKEN: \${{ secrets.CODEX_FLOW_EVENT_TOKEN }}
        run: |
          jq --arg id "github:$GITHUB_REPOSITORY:$GITHUB_RUN_ID" --arg type "github.$GITHUB_EVENT_NAME" \\
            '{id: $id, type: $type, source: "github", payload: .}' "$GITHUB_EVENT_PATH" |
          curl --fail-with-body -X POST "$EDGE/events" -H "authorization: Bearer $TOKEN" \\
            -H "content-type: application/json" --data-binary @-
\`\`\`

The token is one of \`EVENT_TOKENS\`. Pull requests from forks get no secrets of the repository, so this workflow sends none of theirs.

## Differences from the ancestor

- An error is \`{"error": {"code", "message", "details", "requestId"}}\`, not \`{"error": "text"}\`. Its client shows the status alone and does not notice.
- A run id is \`run_<16 characters of the event id's hash>_<n>\`, not \`run_\` and 12 hexadecimal digits, and the id of a replay has no ending \`_replay\`: take run ids from the answers. Attempts are \`<run id>_a<n>\`.
- Reading needs a token; an HMAC secret alone sends and replays.

## Errors

Every answer that is no success has the form \`{"error": {"code", "message", "details": [{"path", "message"}], "requestId"}}\`. The codes stand in [operations.md](operations.md#http-errors). A 503 says \`retry-after\`; nothing was stored.`;

export function httpReference(document: OpenApiDocument, examples: HttpExamples): string {
  const routes = Object.entries(document.paths).flatMap(([path, methods]) =>
    path === "/flow-events"
      ? []
      : Object.entries(methods).map(([method, operation]) =>
          routeSection(`${method.toUpperCase()} ${path}`, operation as Operation, examples),
        ),
  );
  const schemas = Object.entries(document.components["schemas"] as Record<string, JsonSchema>).map(
    ([name, schema]) => `### ${name}\n\n${schemaText(schema)}`,
  );
  return [INTRODUCTION, "## Routes", ...routes, "## Schemas", ...schemas, ""].join("\n\n");
}

function routeSection(name: string, operation: Operation, examples: HttpExamples): string {
  const parts = [`### ${name}`, `${operation.summary}.`, credentials(operation)];
  if (operation.parameters.length > 0)
    parts.push(
      table(
        ["parameter", "in", "meaning"],
        operation.parameters.map(({ name: parameter, in: place, schema }) => [
          `\`${parameter}\``,
          place,
          schema.description ?? typeText(schema),
        ]),
      ),
    );
  const body = schemaOf(operation.requestBody?.content);
  if (body !== undefined) parts.push(`Body: ${inWords(body)}`);
  for (const [status, { description, content }] of Object.entries(operation.responses)) {
    if (Number(status) >= FIRST_ERROR_STATUS) continue;
    const schema = schemaOf(content);
    parts.push(`**${status}** ${description}${schema === undefined ? "." : `: ${inWords(schema)}`}`);
  }
  const frames = operation["x-websocket"];
  if (frames !== undefined) parts.push(framesText(frames));
  for (const { request, answer } of examples[name] ?? [])
    parts.push(fence("sh", request), fence("json", JSON.stringify(answer, null, 2)));
  return parts.join("\n\n");
}

function framesText({ up, down }: Frames): string {
  const rows = (direction: string, frames: Record<string, JsonSchema>): string[][] =>
    Object.entries(frames).map(([type, schema]) => [`\`${type}\``, direction, fieldsInLine(schema)]);
  return `Frames are JSON texts with a \`type\`; their schemas stand in the OpenAPI document under \`x-websocket\`.\n\n${table(
    ["type", "goes", "other fields"],
    [...rows("to the edge", up), ...rows("from the edge", down)],
  )}`;
}

function fieldsInLine({ properties = {}, required = [] }: JsonSchema): string {
  return Object.keys(properties)
    .filter((name) => name !== "type")
    .map((name) => `\`${name}\`${required.includes(name) ? "" : " (optional)"}`)
    .join(", ");
}

function credentials({ security }: Operation): string {
  const scopes = security.flatMap(({ bearer }) => bearer ?? []);
  if (scopes.length === 0) return "Open to all.";
  const signed = security.some(({ signature }) => signature !== undefined);
  return `Needs the scope ${scopes.map((scope) => `\`${scope}\``).join(" or ")}${signed ? ", or a signature" : ""}.`;
}

function schemaOf(content: Content | undefined): JsonSchema | undefined {
  return content?.["application/json"]?.schema;
}

/** A reference as a link; a schema without a name as its fields. */
function inWords(schema: JsonSchema): string {
  return schema.properties === undefined ? typeText(schema) : `an object\n\n${schemaText(schema)}`;
}

function schemaText(schema: JsonSchema): string {
  if (schema.properties === undefined) return typeText(schema);
  const required = new Set(schema.required);
  return table(["field", "type", "always", "meaning"], fieldRows(schema.properties, required, ""));
}

function fieldRows(
  properties: Record<string, JsonSchema>,
  required: ReadonlySet<string>,
  prefix: string,
): string[][] {
  return Object.entries(properties).flatMap(([name, schema]) => {
    const inner = schema.properties === undefined ? schema.items : schema;
    const mark = inner === schema.items ? `${prefix}${name}[].` : `${prefix}${name}.`;
    return [
      [
        `\`${prefix}${name}\``,
        typeText(schema),
        required.has(name) ? "yes" : "",
        schema.description ?? bounds(schema),
      ],
      ...(inner?.properties === undefined ? [] : fieldRows(inner.properties, new Set(inner.required), mark)),
    ];
  });
}

function bounds({ minLength, maxLength }: JsonSchema): string {
  if (maxLength === undefined) return "";
  return minLength === undefined
    ? `at most ${maxLength} characters`
    : `${minLength} to ${maxLength} characters`;
}

function typeText(schema: JsonSchema): string {
  if (schema.$ref !== undefined) {
    const name = schema.$ref.split("/").at(-1) ?? "";
    return `[${name}](#${name.toLowerCase()})`;
  }
  if (schema.enum !== undefined) return schema.enum.map((value) => `\`${String(value)}\``).join(", ");
  if (schema.anyOf !== undefined) return schema.anyOf.map(typeText).join(" or ");
  if (schema.items !== undefined) return `list of ${typeText(schema.items)}`;
  if (schema.format === "date-time") return "RFC 3339 time";
  return schema.type === undefined ? "any JSON" : [schema.type].flat().join(" or ");
}

function table(head: string[], rows: string[][]): string {
  const line = (cells: string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

function fence(language: string, text: string): string {
  return `\`\`\`${language}\n${text}\n\`\`\``;
}
