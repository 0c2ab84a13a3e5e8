/** Requests as they came, and routes as data: a template in the words of Discord's OpenAPI, and who may call it. */
import type { IncomingHttpHeaders } from "node:http";
import type { World } from "./world.ts";

export interface RequestRecord {
  method: string;
  /** Below /api/v10. */
  path: string;
  query: URLSearchParams;
  headers: IncomingHttpHeaders;
  /** Parsed; undefined without one. */
  body: unknown;
  /** By the fake's clock. */
  atMs: number;
  /** `POST /channels/{channel_id}/messages`; undefined when there is no such route. */
  route: string | undefined;
  /** Undefined until answered, and for good when it never is. */
  status: number | undefined;
}

export interface Call {
  world: World;
  params: Record<string, string>;
  query: URLSearchParams;
  /** Checked against the route's schema. */
  body: unknown;
  request: RequestRecord;
  /** Records a fault that Discord itself would tolerate. */
  report: (rule: string, message: string) => void;
}

export interface Reply {
  status: number;
  /** Undefined for 204. */
  body?: unknown;
}

export interface Route {
  /** Method and template. */
  on: string;
  /** `bot`: the bot's token; `token`: one in the path, and no other is needed. */
  auth: "bot" | "token";
  handle: (call: Call) => Reply | Promise<Reply>;
}

export interface Matched {
  route: Route;
  template: string;
  params: Record<string, string>;
}

/** A literal segment beats a parameter, or `@original` would be taken for a message's id. */
export function matcher(
  routes: Route[],
): (method: string, path: string) => Matched | "wrong method" | undefined {
  const known = routes
    .map((route) => {
      const [method = "", template = ""] = route.on.split(" ");
      return { route, method, template, parts: template.split("/") };
    })
    .sort((a, b) => parameters(a.parts) - parameters(b.parts));
  return (method, path) => {
    const parts = path.split("/");
    const fits = known.filter((one) => matches(one.parts, parts));
    const found = fits.find((one) => one.method === method);
    if (found === undefined) return fits.length > 0 ? "wrong method" : undefined;
    const params = Object.fromEntries(
      found.parts.flatMap((part, index) =>
        isParameter(part) ? [[part.slice(1, -1), decodeURIComponent(parts[index] ?? "")]] : [],
      ),
    );
    return { route: found.route, template: found.template, params };
  };
}

function matches(template: string[], path: string[]): boolean {
  return (
    template.length === path.length &&
    template.every((part, index) => (isParameter(part) ? path[index] !== "" : part === path[index]))
  );
}

function isParameter(part: string): boolean {
  return part.startsWith("{");
}

function parameters(parts: string[]): number {
  return parts.filter(isParameter).length;
}
