/**
 * Credentials in the path, `/t/<token>/events`: for clients that can be given an address and nothing else. The token is
 * taken out of the address before anything else looks at the request, so that no route, error or log can repeat it.
 */

/** Clients that join a base address with a path may double the slashes. */
const PATH = /^\/+t\/+([^/]*)(\/.*)?$/;
/** A segment that a client may have meant as a token, wherever it put it and whatever the case of the `t` before it. */
const LIKE_TOKEN = /(^|\/)t\/+[^/]+/gi;

/** Carries the token from the front door to authorize(). One that a client sends itself is removed. */
const HEADER = "x-codex-flow-path-token";

/** The request as its routes see it: without a token in its address. */
export function withoutPathToken(
  request: Request<unknown, IncomingRequestCfProperties>,
): Request<unknown, IncomingRequestCfProperties> {
  const url = new URL(request.url);
  const match = PATH.exec(url.pathname);
  if (match === null && !request.headers.has(HEADER)) return request;
  url.pathname = match?.[2] ?? (match === null ? url.pathname : "/");
  const stripped = new Request<unknown, IncomingRequestCfProperties>(url.href, request);
  stripped.headers.delete(HEADER);
  stripped.headers.delete("referer");
  if (match !== null) stripped.headers.set(HEADER, match[1] ?? "");
  return stripped;
}

/** A path as an error may repeat it: a token in a mistyped path, such as `/T/<token>/events`, is left out. */
export function withoutTokens(path: string): string {
  return path.replace(LIKE_TOKEN, "$1t/…");
}

/** The token of the path, decoded. An escape that is none makes it a token that nobody has. */
export function pathToken(headers: Headers): string | undefined {
  const encoded = headers.get(HEADER);
  if (encoded === null) return undefined;
  try {
    return decodeURIComponent(encoded);
  } catch {
    return encoded;
  }
}
