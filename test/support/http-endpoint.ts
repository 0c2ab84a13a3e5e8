/** An HTTP endpoint on loopback that answers what a test says: the other side of a fake platform, in its own tests. */
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { text as readAll } from "node:stream/consumers";
import { onTestFinished } from "vitest";

export interface Posted {
  headers: IncomingHttpHeaders;
  body: string;
}

/** Undefined: no answer, ever. */
export type Answering = (
  posted: Posted,
) =>
  { status: number; body?: unknown; type?: string } | undefined | Promise<{ status: number; body?: unknown }>;

/** Its URL; it goes when the test is over. */
export async function startEndpoint(answer: Answering): Promise<string> {
  const server = createServer((request, response) => {
    void (async () => {
      const answered = await answer({ headers: request.headers, body: await readAll(request) });
      if (answered === undefined) return;
      const type = "type" in answered ? answered.type : undefined;
      response.writeHead(answered.status, { "content-type": type ?? "application/json" });
      response.end(answered.body === undefined ? undefined : JSON.stringify(answered.body));
    })();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(async () => {
    server.closeAllConnections();
    server.close();
    await once(server, "close");
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}
