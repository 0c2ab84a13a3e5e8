/** A forward proxy on loopback that alone knows where some host names lead, as a company's proxy knows the internet. */
import { once } from "node:events";
import { createServer, request as httpRequest } from "node:http";
import { connect, type AddressInfo, type Socket } from "node:net";
import { onTestFinished } from "vitest";

export interface ForwardProxy {
  url: string;
  /** Targets of CONNECT and of plain requests, in order: "edge.test:80". */
  asked: string[];
  /** Answers CONNECT with this status, while it is set. */
  refuseWith: number | undefined;
}

/** @param hosts port on loopback by host name */
export async function forwardProxy(hosts: Record<string, number>): Promise<ForwardProxy> {
  const sockets = new Set<Socket>();
  const proxy: ForwardProxy = { url: "", asked: [], refuseWith: undefined };
  const server = createServer((request, response) => {
    const target = new URL(request.url ?? "");
    proxy.asked.push(`${target.hostname}:${target.port || "80"}`);
    const port = hosts[target.hostname];
    if (port === undefined) {
      response.writeHead(502).end();
      return;
    }
    const { method, headers } = request;
    const onward = httpRequest(
      { host: "127.0.0.1", port, method, headers, path: target.pathname + target.search },
      (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(response);
      },
    );
    onward.on("error", () => response.destroy());
    request.pipe(onward);
  });
  server.on("connect", (request, near: Socket, head) => {
    sockets.add(near);
    near.on("error", () => near.destroy());
    proxy.asked.push(request.url ?? "");
    const port = hosts[(request.url ?? "").split(":")[0] ?? ""];
    if (proxy.refuseWith !== undefined || port === undefined) {
      near.end(
        `HTTP/1.1 ${proxy.refuseWith ?? 502} Refused\r\ncontent-length: 0\r\nconnection: close\r\n\r\n`,
      );
      return;
    }
    const far = connect(port, "127.0.0.1", () => {
      near.write("HTTP/1.1 200 OK\r\n\r\n");
      far.write(head);
      far.pipe(near).pipe(far);
    });
    sockets.add(far);
    far.on("error", () => near.destroy());
    near.on("close", () => far.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  proxy.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.closeAllConnections();
    server.close();
  });
  return proxy;
}
