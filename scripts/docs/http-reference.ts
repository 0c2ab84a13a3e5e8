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

The examples expect the address of the edge in \`CODEX_FLOW_URL\` and a token in \`CODEX_FLOW_TOKEN\`; their answers come from a real edge.

- **Bodies** are JSON in UTF-8. Send \`content-type: application/json\`. A body without a content type, or with the one that \`curl -d\` sets by default, is read as JSON too.
- **Compression**: \`content-encoding: gzip\`, \`deflate\` or \`br\`. Any other encoding gets 415.
- **Size limits** apply to the bytes as sent, to the bytes after unpacking and, for an event, to the JSON as the edge stores it.
- **Numbers** are read as doubles. Fractions are rounded. An integer that a double cannot represent exactly, or a number that is too large, gets 422 with its JSON pointer: send such an id as a string.
- **Ids in a path** are percent-encoded: \`release:1.2\` becomes \`release%3A1.2\`.

## Connect a sender

A sender needs the address of the edge and a token of \`EVENT_TOKENS\` ([deploy.md](deploy.md#secrets)), or a secret to [sign with](#credentials). It sends one JSON object with an \`id\`, a \`type\` and a \`payload\`:

\`\`\`sh
curl --fail-with-body -X POST "$CODEX_FLOW_URL/events?must_match=1" \\
  -H "authorization: Bearer $CODEX_FLOW_TOKEN" -H "content-type: application/json" \\
  -d '{"id":"release:1.2.3","type":"demo.hello","payload":{"name":"Ada"}}'
\`\`\`

- Make the \`id\` from what happened (\`release:1.2.3\`, a delivery id), not from the time of sending. The same id never starts anything twice, so that a sender can repeat a request after a 5xx or a timeout.
- With \`?must_match=1\`, an event that starts no run gets 422 \`nothing_matched\` and is not stored. Without it, the answer is 202 with \`"matched": 0\`. \`?dry_run=1\` shows what would start, and why other steps would not.
- The same id with another type, source or payload is a conflict: the answer is 202 with \`"conflict": true\`, and nothing runs.

### GitHub Actions

A workflow needs no server in between. It sends the event that started it:

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

The token is one of \`EVENT_TOKENS\`. GitHub gives workflows of pull requests from forks no secrets, so this workflow cannot send events for those.

### Cron

A job on a schedule makes its id from the period, so that a job that runs twice in one hour starts one run:

\`\`\`sh
# crontab -e; crontab needs the backslash before each percent sign
0 * * * * curl -fsS -X POST "https://<edge>/events" -H "authorization: Bearer <token>" -H "content-type: application/json" -d "{\\"id\\":\\"nightly:$(date -u +\\%Y-\\%m-\\%dT\\%H)\\",\\"type\\":\\"demo.hello\\",\\"payload\\":{\\"name\\":\\"cron\\"}}"
\`\`\`

Ids that begin with \`schedule:\` are reserved for the edge.

### Webhooks of other products

The edge does not accept the webhooks of other products directly yet. GitHub, Standard Webhooks with their usual body (\`{"type", "timestamp", "data"}\`), Svix and CloudEvents get 422 \`foreign_webhook\`, or 401 without credentials of this edge. Put an adapter in between that checks the sender's signature and builds the event. Take the event's id from \`x-github-delivery\`, \`webhook-id\`, \`svix-id\` or \`ce-id\`, so that a repeated delivery starts nothing twice. This Worker is such an adapter for GitHub:

\`\`\`js
// Secrets: GITHUB_SECRET (the one of the webhook), EDGE_TOKEN (one of the edge's EVENT_TOKENS). Variable: EDGE_URL.
export default {
  async fetch(request, env) {
    const body = await request.arrayBuffer();
    const key = await crypto.subtle.importKey(
      "raw",
      new TextEncoder().encode(env.GITHUB_SECRET),
      { name: "HMAC", hash: "SHA-256" },
      false,
      ["verify"],
    );
    const hex = (request.headers.get("x-hub-signature-256") ?? "").replace("sha256=", "");
    const signature = Uint8Array.from(hex.match(/../g) ?? [], (byte) => parseInt(byte, 16));
    if (!(await crypto.subtle.verify("HMAC", key, signature, body)))
      return new Response("wrong signature", { status: 401 });
    return fetch(\`\${env.EDGE_URL}/events\`, {
      method: "POST",
      headers: { authorization: \`Bearer \${env.EDGE_TOKEN}\`, "content-type": "application/json" },
      body: JSON.stringify({
        id: \`github:\${request.headers.get("x-github-delivery")}\`,
        type: \`github.\${request.headers.get("x-github-event")}\`,
        source: "github",
        payload: JSON.parse(new TextDecoder().decode(body)),
      }),
    });
  },
};
\`\`\`

In the webhook's settings on GitHub, choose the content type \`application/json\`.

## Credentials

A token is sent as \`authorization: Bearer <token>\`; \`x-api-key: <token>\` and \`x-patch-admin-token: <token>\` mean the same. Its scopes depend on the secret that lists it ([deploy.md](deploy.md#secrets)). Events and replays can be signed instead:

\`\`\`sh
body='{"id":"signed:1","type":"demo.hello","payload":{"name":"Ada"}}'
signature=$(printf %s "$body" | openssl dgst -sha256 -hmac "$EVENT_SECRET" | sed 's/^.* //')
curl -X POST "$CODEX_FLOW_URL/events" -H "content-type: application/json" \\
  -H "x-flow-signature-256: sha256=$signature" -d "$body"
\`\`\`

\`x-patch-flow-signature-256\` is the old name of the same header. [Standard Webhooks](https://www.standardwebhooks.com) headers (\`webhook-id\`, \`webhook-timestamp\`, \`webhook-signature\`) are checked with \`WEBHOOK_SECRETS\`, for events only, and around the body of this API. A signature covers the exact bytes of the body as sent, before they are unpacked. When a request has both a token and a signature, both must be right.

An \`x-flow-signature-256\` covers neither the path nor a time. Anyone who has recorded a signed replay can send it again, for any event id; each repetition makes new runs, up to 200 per event. HTTPS prevents others from recording it.

A token of \`PATH_TOKENS\` can be part of the path, for clients that take a URL and no header: \`https://<edge>/t/<token>/events\`, \`/t/<token>/runs\` and so on. It allows sending, replaying and reading. Tokens of the other lists are not accepted in the path, and path tokens are not accepted in headers. When a request has both, the token in the header is used.

## What a caller without runs:read sees

A caller without \`runs:read\` gets [RunStatus](#runstatus) instead of whole runs: the id and the status. The result and the error are included only for runs that the same request started from its own event. So a sender can use \`?wait=\`, and a guessed event id reveals nothing.

## Differences from codex-flows

- An error is \`{"error": {"code", "message", "details", "requestId"}}\`, not \`{"error": "text"}\`. The client of codex-flows shows only the status, so the difference does not affect it.
- A run id is \`run_<16 characters of the event id's hash>_<n>\`, not \`run_\` and 12 hexadecimal digits, and the id of a replay does not end in \`_replay\`: take run ids from the answers. Attempts are \`<run id>_a<n>\`.
- Reading needs a token. An HMAC secret alone can send and replay.

## Errors

Every error has the form \`{"error": {"code", "message", "details": [{"path", "message"}], "requestId"}}\`. [operations.md](operations.md#http-errors) lists the codes. A 503 has a \`retry-after\` header; nothing was stored.`;

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
