/**
 * The edge's front door: every request gets an id, a bound, a scope check and a JSON answer; every failure one form
 * (invariant 13). What a route does stands in routes/, one file a resource.
 */
import { Hono } from "hono";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import {
  BadRequestError,
  FlowError,
  NotFoundError,
  OverloadedError,
  UnsupportedEncodingError,
} from "../contract/errors.ts";
import type { AppContext } from "./app-context.ts";
import { withoutTokens } from "./auth/path-token.ts";
import { relayRoutes } from "./relay/routes.ts";
import { chatRoutes } from "./routes/chat.ts";
import { chatAuditRoutes } from "./routes/chat-audit.ts";
import { discordRoutes } from "./routes/discord.ts";
import { eventRoutes } from "./routes/events.ts";
import { flowRoutes } from "./routes/flows.ts";
import { metaRoutes } from "./routes/meta.ts";
import { runLogRoutes } from "./routes/run-log.ts";
import { runRoutes } from "./routes/runs.ts";
import { runnerRoutes } from "./routes/runners.ts";
import { steeringRoutes } from "./routes/steering.ts";
import { telegramRoutes } from "./telegram/webhook.ts";

const SECURITY_HEADERS: Record<string, string> = {
  "cache-control": "no-store",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "referrer-policy": "no-referrer",
  "strict-transport-security": "max-age=31536000; includeSubDomains",
  "x-content-type-options": "nosniff",
};

export const app = new Hono<AppContext>({ strict: false });

app.use(async (context, next) => {
  const requestId = context.req.header("cf-ray") ?? crypto.randomUUID();
  context.set("requestId", requestId);
  await next();
  // The headers of an upgrade belong to the socket that was handed over.
  if (context.res.status === 101) return;
  context.res.headers.set("x-request-id", requestId);
  for (const [name, value] of Object.entries(SECURITY_HEADERS)) context.res.headers.set(name, value);
});

app.route("/", metaRoutes);
app.route("/", eventRoutes);
app.route("/", runRoutes);
app.route("/", runLogRoutes);
app.route("/", steeringRoutes);
app.route("/", relayRoutes);
app.route("/", runnerRoutes);
app.route("/", flowRoutes);
app.route("/", discordRoutes);
app.route("/", chatRoutes);
app.route("/", chatAuditRoutes);
app.route("/", telegramRoutes);

app.notFound((context) => {
  const error = new NotFoundError(
    "no_route",
    `there is no ${context.req.method} ${withoutTokens(context.req.path)}: see /openapi.json`,
  );
  return context.json(withRequestId(error, context.get("requestId")), 404);
});

app.onError((thrown, context) => {
  const requestId = context.get("requestId");
  const error = isOverload(thrown)
    ? new OverloadedError(
        "an object of the edge has more to do than it can; nothing was acknowledged, send it again",
      )
    : thrown;
  if (error instanceof FlowError)
    return context.json(withRequestId(error, requestId), error.status as ContentfulStatusCode, {
      ...(error.retryable ? { "retry-after": "1" } : {}),
      ...(error instanceof UnsupportedEncodingError ? { "accept-encoding": error.accepted } : {}),
    });
  if (error instanceof URIError) {
    const malformed = new BadRequestError("invalid_path", "the path holds a percent escape that is none");
    return context.json(withRequestId(malformed, requestId), 400);
  }
  // A bug of ours, or the platform's: the caller learns that it happened and what to quote, and no more.
  console.error(
    JSON.stringify({ message: "unhandled", requestId, error: String(error), stack: error.stack }),
  );
  return context.json(
    {
      error: {
        code: "internal",
        message: "the edge failed; nothing was acknowledged",
        details: [],
        requestId,
      },
    },
    500,
  );
});

/** The platform marks so what an object refuses because it is overloaded. */
function isOverload(error: Error): boolean {
  return "overloaded" in error && error.overloaded === true;
}

function withRequestId(error: FlowError, requestId: string): object {
  return { error: { ...error.toBody().error, requestId } };
}
