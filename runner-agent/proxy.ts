/**
 * The way out of this machine. A network may allow HTTPS only through a proxy, which the variables HTTPS_PROXY, HTTP_PROXY,
 * ALL_PROXY and NO_PROXY name (also in lower case, as curl, git and npm read them). Node heeds none of them by itself, so
 * every connection of the agent, the relay and the command line is sent through here.
 *
 * Loopback never goes through a proxy: nothing there could reach it back.
 */
import type { Agent } from "node:http";
import { HttpsProxyAgent } from "https-proxy-agent";
import { getProxyForUrl } from "proxy-from-env";

/** The variables that name the proxy, in both spellings. */
export const PROXY_VARIABLES: readonly string[] = [
  "http_proxy",
  "https_proxy",
  "all_proxy",
  "no_proxy",
].flatMap((name) => [name, name.toUpperCase()]);

const LOOPBACK_NAMES = ["localhost", "127.0.0.1", "[::1]"];

/** The proxy for an http:, https:, ws: or wss: address, as a URL; undefined when the address is reached directly. */
export function proxyFor(url: string): string | undefined {
  const target = new URL(url);
  if (LOOPBACK_NAMES.includes(target.hostname) || target.hostname.startsWith("127.")) return undefined;
  // The variables know http and https; a WebSocket begins as one of them.
  const proxy = getProxyForUrl(url.replace(/^ws/, "http"));
  return proxy === "" ? undefined : proxy;
}

/** What to hand to a WebSocket as its `agent`; undefined when the address is reached directly. */
export function proxyAgentFor(url: string): Agent | undefined {
  const proxy = proxyFor(url);
  return proxy === undefined ? undefined : new HttpsProxyAgent(proxy);
}

/** The proxy in words for people, without its login: "through the proxy http://proxy.example:3128". */
export function describeProxy(url: string): string | undefined {
  const proxy = proxyFor(url);
  if (proxy === undefined) return undefined;
  const { protocol, host } = new URL(proxy);
  return `through the proxy ${protocol}//${host}`;
}

/** Those of the variables whose value carries a login: what must be redacted. */
export function proxySecrets(environment: Readonly<Record<string, string | undefined>>): string[] {
  return PROXY_VARIABLES.filter((name) => /\/\/[^/]*@/.test(environment[name] ?? ""));
}

/** Makes `fetch` heed the variables. Does nothing, and loads nothing, where none of them is set. */
export async function useProxyForFetch(
  environment: Readonly<Record<string, string | undefined>>,
): Promise<void> {
  const value = (name: string): string | undefined =>
    environment[name.toLowerCase()] || environment[name.toUpperCase()] || undefined;
  const all = value("all_proxy");
  const [httpProxy, httpsProxy] = [value("http_proxy") ?? all, value("https_proxy") ?? all];
  if (httpProxy === undefined && httpsProxy === undefined) return;
  const { EnvHttpProxyAgent, setGlobalDispatcher } = await import("undici");
  const noProxy = [...LOOPBACK_NAMES, value("no_proxy")].filter((name) => name !== undefined).join(",");
  // The built-in fetch takes its dispatcher from where the package undici puts it.
  setGlobalDispatcher(
    new EnvHttpProxyAgent({
      ...(httpProxy === undefined ? {} : { httpProxy }),
      ...(httpsProxy === undefined ? {} : { httpsProxy }),
      noProxy,
    }),
  );
}
