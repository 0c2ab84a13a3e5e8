/** Servers on loopback that are no edge: what stands between an agent and its edge when something is set up wrong. */
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, type RequestListener, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { onTestFinished } from "vitest";

const fixture = (name: string): Buffer => readFileSync(new URL(`../fixtures/tls/${name}`, import.meta.url));

/** Answers each request, also one for an upgrade, by `handle`. */
export async function serveHttp(handle: RequestListener): Promise<{ url: string }> {
  return { url: `http://127.0.0.1:${await listen(createServer(handle))}` };
}

/** A TLS server whose certificate nobody has signed but itself; a wss: address. */
export async function serveSelfSigned(): Promise<{ url: string }> {
  const server = createTlsServer({ key: fixture("key.pem"), cert: fixture("certificate.pem") });
  return { url: `wss://127.0.0.1:${await listen(server)}` };
}

async function listen(server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}
