/** Wrong requests about a run under way: approvals, messages, budgets. */
import { MESSAGE_MAX_CHARS } from "../../../contract/limits.ts";
import { TOKENS } from "./api.ts";
import { rows, type MalformedRequest } from "./malformed-row.ts";

const decide = "/runs/{run}/approvals/a1-1";
const say = "/runs/{run}/messages";
const budget = "/runs/{run}/budget";

export const MALFORMED_STEERING: readonly MalformedRequest[] = [
  ...rows(
    "get /runs/{id}/approvals",
    ["a run that nobody started", { path: "/runs/{unknown}/approvals" }, 404, "run_not_found", ["{id}"]],
    [
      "a token for runners",
      { path: "/runs/{run}/approvals", token: TOKENS.runner },
      403,
      "forbidden",
      ["authorization"],
    ],
  ),
  ...rows(
    "post /runs/{id}/approvals/{approval}",
    ["no JSON", { path: decide, body: "accept" }, 400, "invalid_json", [""]],
    ["no decision", { path: decide, body: {} }, 422, "invalid", ["/decision"]],
    [
      "a decision that is none",
      { path: decide, body: { decision: "perhaps" } },
      422,
      "invalid",
      ["/decision"],
    ],
    ["nobody", { path: decide, body: { decision: "accept", by: "" } }, 422, "invalid", ["/by"]],
    [
      "a confirmation that is no yes or no",
      { path: decide, body: { decision: "accept", confirm: "yes" } },
      422,
      "invalid",
      ["/confirm"],
    ],
    ["more than that", { path: decide, body: { decision: "accept", x: 1 } }, 422, "invalid", ["/x"]],
    [
      "an approval that nobody asked for",
      { path: decide, body: { decision: "accept" } },
      404,
      "approval_not_found",
      ["{approval}"],
    ],
    [
      "a run that nobody started",
      { path: "/runs/{unknown}/approvals/a1-1", body: { decision: "accept" } },
      404,
      "run_not_found",
      ["{id}"],
    ],
    [
      "a token that may only read",
      { path: decide, body: { decision: "accept" }, token: TOKENS.read },
      403,
      "forbidden",
      ["authorization"],
    ],
  ),
  ...rows(
    "post /runs/{id}/messages",
    ["nothing", { path: say, body: {} }, 422, "invalid", ["/text"]],
    ["an empty text", { path: say, body: { text: "" } }, 422, "invalid", ["/text"]],
    ["a number", { path: say, body: { text: 1 } }, 422, "invalid", ["/text"]],
    [
      "a text over the bound",
      { path: say, body: { text: "x".repeat(MESSAGE_MAX_CHARS + 1) } },
      422,
      "invalid",
      ["/text"],
    ],
    ["words for a script", { path: say, body: { text: "hello" } }, 409, "not_listening", []],
    [
      "a run that nobody started",
      { path: "/runs/{unknown}/messages", body: { text: "hello" } },
      404,
      "run_not_found",
      ["{id}"],
    ],
  ),
  ...rows(
    "post /runs/{id}/budget",
    ["nothing", { path: budget, body: {} }, 422, "invalid", [""]],
    ["less than nothing", { path: budget, body: { addTokens: -1 } }, 422, "invalid", ["/addTokens"]],
    ["half a token", { path: budget, body: { addTokens: 1.5 } }, 422, "invalid", ["/addTokens"]],
    ["a unit that is none", { path: budget, body: { addEuros: 1 } }, 422, "invalid", ["/addEuros"]],
    ["what has no limit", { path: budget, body: { addTokens: 1 } }, 409, "not_limited", []],
    [
      "a run that nobody started",
      { path: "/runs/{unknown}/budget", body: { addTokens: 1 } },
      404,
      "run_not_found",
      ["{id}"],
    ],
  ),
];
