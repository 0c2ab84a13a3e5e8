/** Routes that are WebSockets: what is no upgrade is told so, before anything is opened for it. */
import type { Context } from "hono";
import { BadRequestError } from "../contract/errors.ts";
import type { AppContext } from "./app-context.ts";

/** Throws unless this is a request for a WebSocket. A HEAD, which takes the way of its GET, may open none. */
export function expectUpgrade(context: Context<AppContext>): void {
  const { method } = context.req.raw;
  if (method === "GET" && context.req.header("upgrade")?.toLowerCase() === "websocket") return;
  throw new BadRequestError(
    "not_a_websocket",
    `${context.req.path} is a WebSocket: send a GET with an upgrade`,
    [{ path: "upgrade", message: "must be websocket, of a GET" }],
  );
}
