/**
 * Requests that are wrong, each in one way, with the answer that each gets: a table over every route of HTTP_ROUTES.
 * Whoever adds a route adds a row here; bad-input.test.ts fails without one.
 *
 * In a path, `{run}` and `{event}` stand for a run and an event that are stored, `{unknown}` for ids of neither.
 */
import { REQUEST_MAX_BYTES } from "../../../contract/limits.ts";
import { TOKENS } from "./api.ts";
import { MALFORMED_CHAT } from "./malformed-chat.ts";
import { MALFORMED_EVENTS, REFUSED_EVENT_ID } from "./malformed-events.ts";
import { rows, type MalformedRequest } from "./malformed-row.ts";
import { MALFORMED_STEERING } from "./malformed-steering.ts";
import { MALFORMED_RUN_REQUESTS } from "./malformed-run-requests.ts";

const event = { id: REFUSED_EVENT_ID, type: "lab.one" };

export const MALFORMED_REQUESTS: readonly MalformedRequest[] = [
  ...MALFORMED_CHAT,
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
  ...MALFORMED_RUN_REQUESTS,
  ...MALFORMED_STEERING,
];
