/** An HTTP endpoint on loopback that answers what a test says: the other side of a fake platform, in its own tests. */
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { text as readAll } from "node:stream/consumers";
import { onTestFinished } from "vitest";

export interface Posted {
  method: string;
  path: string;
  headers: IncomingHttpHeaders;
  body: string;
}

export interface Reply {
  status: number;
  body?: unknown;
  /** application/json when absent. */
  type?: string;
}

/** Undefined: no answer, ever. */
export type Answering = (posted: Posted) => Reply | undefined | Promise<Reply | undefined>;

/** Its URL; it goes when the test is over. */
export async function startEndpoint(answer: Answering): Promise<string> {
  const server = createServer((request, response) => {
    void (async () => {
      const answered = await answer({
        method: request.method ?? "",
        path: request.url ?? "",
        headers: request.headers,
        body: await readAll(request),
      });
      if (answered === undefined) return;
      response.writeHead(answered.status, { "content-type": answered.type ?? "application/json" });
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
