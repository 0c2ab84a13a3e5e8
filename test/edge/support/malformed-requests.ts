/**
 * Requests that are wrong, each in one way, with the answer that each gets: a table over every route of HTTP_ROUTES.
 * Whoever adds a route adds a row here; bad-input.test.ts fails without one.
 *
 * In a path, `{run}` and `{event}` stand for a run and an event that are stored, `{unknown}` for ids of neither.
 */
import type { CallOptions } from "./api.ts";
import { TOKENS } from "./api.ts";
import { REQUEST_MAX_BYTES } from "../../../contract/limits.ts";
import { MALFORMED_EVENTS, REFUSED_EVENT_ID } from "./malformed-events.ts";

export interface MalformedRequest extends CallOptions {
  /** The route of HTTP_ROUTES that is meant: "post /events". */
  route: string;
  what: string;
  /** What is sent, where it is not what the route says: another method, another path. */
  method?: string;
  path?: string;
  status: number;
  code: string;
  /** What `details` name, in their order. */
  at: string[];
}

const event = { id: REFUSED_EVENT_ID, type: "lab.one" };
const socket = { upgrade: "websocket" };

function rows(
  route: string,
  ...table: [
    what: string,
    sent: CallOptions & { method?: string; path?: string },
    status: number,
    code: string,
    at: string[],
  ][]
): MalformedRequest[] {
  return table.map(([what, sent, status, code, at]) => ({ route, what, ...sent, status, code, at }));
}

const requests: MalformedRequest[] = [
  ...MALFORMED_EVENTS.map(([what, body, status, code, at]) => ({
    route: "post /events",
    what,
    body,
    status,
    code,
    at,
  })),
  ...rows(
    "post /events",
    [
      "HTML",
      { body: event, headers: { "content-type": "text/html" } },
      415,
      "unsupported_media_type",
      ["content-type"],
    ],
    [
      "XML",
      { body: event, headers: { "content-type": "application/xml" } },
      415,
      "unsupported_media_type",
      ["content-type"],
    ],
    [
      "a form with files",
      { body: event, headers: { "content-type": "multipart/form-data; boundary=x" } },
      415,
      "unsupported_media_type",
      ["content-type"],
    ],
    [
      "packed bytes that say they are plain",
      { body: new Uint8Array([0x1f, 0x8b, 0x08, 0x00]) },
      400,
      "invalid_encoding",
      [""],
    ],
    ["a wait that is no number", { path: "/events?wait=soon", body: event }, 400, "invalid_wait", ["?wait"]],
    ["a negative wait", { path: "/events?wait=-1", body: event }, 400, "invalid_wait", ["?wait"]],
    [
      "a dry_run that says neither yes nor no",
      { path: "/events?dry_run=maybe", body: event },
      400,
      "invalid_dry_run",
      ["?dry_run"],
    ],
    [
      "a dry run of no event",
      { path: "/events?dry_run=1", body: { id: REFUSED_EVENT_ID } },
      422,
      "invalid",
      ["/type"],
    ],
    [
      "a bad event under the other name of the route",
      { path: "/flow-events", body: { id: REFUSED_EVENT_ID } },
      422,
      "invalid",
      ["/type"],
    ],
    ["another method", { method: "PUT", body: event }, 404, "no_route", []],
    ["a path below it", { path: "/events/x/y/z", body: event }, 404, "no_route", []],
    ["other letters", { path: "/Events", body: event }, 404, "no_route", []],
    ["a token that may not", { token: TOKENS.read, body: event }, 403, "forbidden", ["authorization"]],
    [
      "a token in the query",
      { path: `/events?token=${TOKENS.admin}&access_token=${TOKENS.admin}`, token: null, body: event },
      401,
      "unauthorized",
      ["authorization"],
    ],
    [
      "a token in the body",
      { token: null, body: { ...event, token: TOKENS.admin } },
      401,
      "unauthorized",
      ["authorization"],
    ],
    [
      "a token as a cookie",
      { token: null, headers: { cookie: `token=${TOKENS.admin}` }, body: event },
      401,
      "unauthorized",
      ["authorization"],
    ],
  ),
  ...rows(
    "get /events",
    ["a cursor of nobody's", { path: "/events?cursor=%25%25%25" }, 400, "invalid_cursor", ["?cursor"]],
    [
      "a cursor of another shape",
      { path: `/events?cursor=${btoa("1 a b")}` },
      400,
      "invalid_cursor",
      ["?cursor"],
    ],
    [
      "a cursor with an endless number",
      { path: `/events?cursor=${btoa(`${"9".repeat(400)} a`)}` },
      400,
      "invalid_cursor",
      ["?cursor"],
    ],
    [
      "a cursor with a long id",
      { path: `/events?cursor=${btoa(`1 ${"a".repeat(65)}`)}` },
      400,
      "invalid_cursor",
      ["?cursor"],
    ],
    ["another method", { method: "DELETE" }, 404, "no_route", []],
    ["OPTIONS", { method: "OPTIONS" }, 404, "no_route", []],
  ),
  ...rows(
    "get /events/{id}",
    ["an id that nobody sent", { path: "/events/{unknown}" }, 404, "event_not_found", ["{id}"]],
    ["a percent escape that is none", { path: "/events/%zz" }, 404, "event_not_found", ["{id}"]],
    ["half a percent escape", { path: "/events/%E0%A4%A" }, 404, "event_not_found", ["{id}"]],
    ["an escaped NUL", { path: "/events/%00" }, 404, "event_not_found", ["{id}"]],
    ["a run's id", { path: "/events/{run}" }, 404, "event_not_found", ["{id}"]],
    ["a very long id", { path: `/events/${"x".repeat(8_000)}` }, 404, "event_not_found", ["{id}"]],
    ["another method", { method: "PATCH", path: "/events/{event}", body: {} }, 404, "no_route", []],
  ),
  ...rows(
    "post /events/{id}/replay",
    ["an id that nobody sent", { path: "/events/{unknown}/replay" }, 404, "event_not_found", ["{id}"]],
    ["a run's id", { path: "/events/{run}/replay" }, 404, "event_not_found", ["{id}"]],
    ["no JSON", { path: "/events/{event}/replay", body: "{" }, 400, "invalid_json", [""]],
    ["a list", { path: "/events/{event}/replay", body: [] }, 422, "invalid", [""]],
    [
      "an unknown field",
      { path: "/events/{event}/replay", body: { flows: "lab" } },
      422,
      "invalid",
      ["/flows"],
    ],
    [
      "a flow that is a number",
      { path: "/events/{event}/replay", body: { flow: 1 } },
      422,
      "invalid",
      ["/flow"],
    ],
    [
      "a step that is too long",
      { path: "/events/{event}/replay", body: { step: "s".repeat(65) } },
      422,
      "invalid",
      ["/step"],
    ],
    [
      "a wait that is negative",
      { path: "/events/{event}/replay", body: { wait: -1 } },
      422,
      "invalid",
      ["/wait", "/wait", "/wait"],
    ],
    [
      "a wait in the query that is no number",
      { path: "/events/{event}/replay?wait=soon" },
      400,
      "invalid_wait",
      ["?wait"],
    ],
    [
      "a body over the bound",
      { path: "/events/{event}/replay", body: " ".repeat(REQUEST_MAX_BYTES + 1) },
      413,
      "too_large",
      [""],
    ],
    [
      "HTML",
      { path: "/events/{event}/replay", body: {}, headers: { "content-type": "text/html" } },
      415,
      "unsupported_media_type",
      ["content-type"],
    ],
    ["another method", { method: "GET", path: "/events/{event}/replay" }, 404, "no_route", []],
    ["no id", { path: "/events//replay" }, 404, "no_route", []],
    [
      "a token that may only read",
      { path: "/events/{event}/replay", token: TOKENS.read },
      403,
      "forbidden",
      ["authorization"],
    ],
  ),
  ...rows(
    "get /runs",
    ["a status that there is not", { path: "/runs?status=done" }, 400, "invalid_status", ["?status"]],
    ["an empty status", { path: "/runs?status=" }, 400, "invalid_status", ["?status"]],
    ["a status of every object", { path: "/runs?status=constructor" }, 400, "invalid_status", ["?status"]],
    ["a cursor of nobody's", { path: "/runs?cursor=x" }, 400, "invalid_cursor", ["?cursor"]],
    [
      "a status that there is not, of one event",
      { path: "/runs?eventId={event}&status=%00" },
      400,
      "invalid_status",
      ["?status"],
    ],
    ["another method", { method: "POST", body: {} }, 404, "no_route", []],
  ),
  ...rows(
    "get /runs/{id}",
    ["an id of no run", { path: "/runs/x" }, 404, "run_not_found", ["{id}"]],
    ["a run that nobody started", { path: "/runs/{unknown}" }, 404, "run_not_found", ["{id}"]],
    ["a run that its event does not have", { path: "/runs/{run}9" }, 404, "run_not_found", ["{id}"]],
    ["an attempt's id", { path: "/runs/{run}_a1" }, 404, "run_not_found", ["{id}"]],
    ["an event's id", { path: "/runs/{event}" }, 404, "run_not_found", ["{id}"]],
    ["run number 0", { path: "/runs/run_0000000000000000_0" }, 404, "run_not_found", ["{id}"]],
    ["letters that no id has", { path: "/runs/run_UUUUUUUUUUUUUUUU_1" }, 404, "run_not_found", ["{id}"]],
    ["a percent escape that is none", { path: "/runs/%" }, 404, "run_not_found", ["{id}"]],
    ["another method", { method: "DELETE", path: "/runs/{run}" }, 404, "no_route", []],
  ),
  ...rows(
    "get /runs/{id}/output",
    ["a cursor that is none", { path: "/runs/{run}/output?after=x" }, 400, "invalid_cursor", ["?after"]],
    ["a negative cursor", { path: "/runs/{run}/output?after=1.-1" }, 400, "invalid_cursor", ["?after"]],
    [
      "an endless cursor",
      { path: `/runs/{run}/output?after=1.${"9".repeat(400)}` },
      400,
      "invalid_cursor",
      ["?after"],
    ],
    [
      "a stream that there is not",
      { path: "/runs/{run}/output?stream=stdin" },
      400,
      "invalid_stream",
      ["?stream"],
    ],
    ["a run that nobody started", { path: "/runs/{unknown}/output" }, 404, "run_not_found", ["{id}"]],
    ["another method", { method: "PUT", path: "/runs/{run}/output", body: "x" }, 404, "no_route", []],
  ),
  ...rows(
    "get /runs/{id}/tail",
    ["no upgrade", { path: "/runs/{run}/tail" }, 400, "not_a_websocket", ["upgrade"]],
    [
      "an upgrade to something else",
      { path: "/runs/{run}/tail", headers: { upgrade: "h2c" } },
      400,
      "not_a_websocket",
      ["upgrade"],
    ],
    [
      "a cursor that is none",
      { path: "/runs/{run}/tail?after=%00", headers: socket },
      400,
      "invalid_cursor",
      ["?after"],
    ],
    [
      "a cursor that hides another run",
      { path: "/runs/{run}/tail?after=0.0%26n%3D2", headers: socket },
      400,
      "invalid_cursor",
      ["?after"],
    ],
    [
      "a run that nobody started",
      { path: "/runs/{unknown}/tail", headers: socket },
      404,
      "run_not_found",
      ["{id}"],
    ],
    [
      "a token that may only send",
      { path: "/runs/{run}/tail", headers: socket, token: TOKENS.event },
      403,
      "forbidden",
      ["authorization"],
    ],
    [
      "a token in the query",
      { path: `/runs/{run}/tail?token=${TOKENS.admin}`, headers: socket, token: null },
      401,
      "unauthorized",
      ["authorization"],
    ],
  ),
  ...rows(
    "post /runs/{id}/cancel",
    ["no JSON", { path: "/runs/{run}/cancel", body: "cancel" }, 400, "invalid_json", [""]],
    ["a list", { path: "/runs/{run}/cancel", body: [] }, 422, "invalid", [""]],
    ["somebody who is no text", { path: "/runs/{run}/cancel", body: { by: {} } }, 422, "invalid", ["/by"]],
    [
      "somebody with too long a name",
      { path: "/runs/{run}/cancel", body: { by: "x".repeat(129) } },
      422,
      "invalid",
      ["/by"],
    ],
    [
      "a body over the bound",
      { path: "/runs/{run}/cancel", body: { x: "x".repeat(REQUEST_MAX_BYTES) } },
      413,
      "too_large",
      [""],
    ],
    [
      "HTML",
      { path: "/runs/{run}/cancel", body: {}, headers: { "content-type": "text/html" } },
      415,
      "unsupported_media_type",
      ["content-type"],
    ],
    ["a run that nobody started", { path: "/runs/{unknown}/cancel" }, 404, "run_not_found", ["{id}"]],
    [
      "a token that may only read",
      { path: "/runs/{run}/cancel", token: TOKENS.read },
      403,
      "forbidden",
      ["authorization"],
    ],
    ["another method", { method: "GET", path: "/runs/{run}/cancel" }, 404, "no_route", []],
  ),
  ...rows(
    "get /runners",
    ["a pool that is no name", { path: "/runners?pool=UPPER" }, 400, "invalid_pool", ["?pool"]],
    ["an empty pool", { path: "/runners?pool=" }, 400, "invalid_pool", ["?pool"]],
    ["another method", { method: "DELETE" }, 404, "no_route", []],
  ),
  ...rows(
    "get /flows",
    ["another method", { method: "POST", body: {} }, 404, "no_route", []],
    ["a path below it", { path: "/flows/lab" }, 404, "no_route", []],
  ),
  ...rows(
    "get /openapi.json",
    ["another method", { method: "PUT", body: {} }, 404, "no_route", []],
    ["no token", { token: null }, 401, "unauthorized", ["authorization"]],
  ),
  ...rows("get /healthz", ["another method", { method: "POST", body: {} }, 404, "no_route", []]),
  ...rows(
    "get /runners/connect",
    ["no upgrade", {}, 400, "not_a_websocket", ["upgrade"]],
    [
      "an upgrade to something else",
      { headers: { upgrade: "websocket, h2c" } },
      400,
      "not_a_websocket",
      ["upgrade"],
    ],
    [
      "a pool that is no name",
      { path: "/runners/connect?pool=../default", headers: socket },
      400,
      "invalid_pool",
      ["?pool"],
    ],
    [
      "a pool with too long a name",
      { path: `/runners/connect?pool=${"p".repeat(65)}`, headers: socket },
      400,
      "invalid_pool",
      ["?pool"],
    ],
    [
      "a token that may only send",
      { headers: socket, token: TOKENS.write },
      403,
      "forbidden",
      ["authorization"],
    ],
    [
      "a token in the query",
      { path: `/runners/connect?token=${TOKENS.runner}`, headers: socket, token: null },
      401,
      "unauthorized",
      ["authorization"],
    ],
    [
      "a token as the protocol",
      { headers: { ...socket, "sec-websocket-protocol": TOKENS.runner }, token: null },
      401,
      "unauthorized",
      ["authorization"],
    ],
  ),
  ...rows(
    "get /runs/{id}/attach",
    ["no upgrade", { path: "/runs/{run}/attach" }, 400, "not_a_websocket", ["upgrade"]],
    ["an id of no run", { path: "/runs/x/attach", headers: socket }, 404, "run_not_found", ["{id}"]],
    [
      "a run that nobody started",
      { path: "/runs/{unknown}/attach", headers: socket },
      404,
      "run_not_found",
      ["{id}"],
    ],
    [
      "a token that may only read",
      { path: "/runs/{run}/attach", headers: socket, token: TOKENS.read },
      403,
      "forbidden",
      ["authorization"],
    ],
  ),
];

const steering: MalformedRequest[] = ["pause", "resume", "drain"].flatMap((action) =>
  rows(
    `post /runners/{name}/${action}`,
    [
      "a runner that nobody knows",
      { path: `/runners/nobody/${action}` },
      404,
      "runner_not_found",
      ["{name}"],
    ],
    [
      "a pool that is no name",
      { path: `/runners/nobody/${action}?pool=UPPER` },
      400,
      "invalid_pool",
      ["?pool"],
    ],
    [
      "a token that may not",
      { path: `/runners/nobody/${action}`, token: TOKENS.write },
      403,
      "forbidden",
      ["authorization"],
    ],
    ["another method", { method: "GET", path: `/runners/nobody/${action}` }, 404, "no_route", []],
  ),
);

export const MALFORMED_REQUESTS: readonly MalformedRequest[] = [...requests, ...steering];
