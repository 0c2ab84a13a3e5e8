/**
 * A TCP proxy on loopback, between a runner agent and an edge: the network, where it can be cut, held and halved. It
 * owns both sockets of every connection that comes through it.
 */
import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";

/** One connection: the side of whoever connected, and the side of the server behind the proxy. */
interface Connection {
  near: Socket;
  far: Socket;
  /** One side is gone, and the other is not told. */
  halved: boolean;
}

export type Side = "near" | "far";

export class TcpProxy {
  readonly #server: Server;
  readonly #target: number;
  readonly #connections = new Set<Connection>();
  #refusing = false;
  #held = false;
  /** Connections that were turned away since `refuse`. */
  refusals = 0;

  private constructor(target: number) {
    this.#target = target;
    this.#server = createServer({ pauseOnConnect: true }, (near) => {
      this.#take(near);
    });
  }

  /** Starts one in front of a port on loopback. */
  static async start(target: number): Promise<TcpProxy> {
    const proxy = new TcpProxy(target);
    proxy.#server.listen(0, "127.0.0.1");
    await once(proxy.#server, "listening");
    return proxy;
  }

  /** http: address. */
  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Resets every connection; new ones come through. */
  cut(): void {
    for (const { near, far } of this.#connections) {
      near.resetAndDestroy();
      far.resetAndDestroy();
    }
  }

  /** Resets one side of every connection; the other one stays open and hears nothing any more. */
  halve(dead: Side): void {
    for (const connection of this.#connections) {
      connection.halved = true;
      connection[dead].resetAndDestroy();
    }
  }

  /** From now on nothing passes in either direction, and nothing is lost: until `release`. */
  hold(): void {
    this.#held = true;
    for (const { near, far } of this.#connections) {
      near.pause();
      far.pause();
    }
  }

  release(): void {
    this.#held = false;
    for (const { near, far } of this.#connections) {
      near.resume();
      far.resume();
    }
  }

  /** Cuts everything and turns away whoever comes, until `admit`. */
  refuse(): void {
    this.#refusing = true;
    this.refusals = 0;
    this.cut();
  }

  admit(): void {
    this.#refusing = false;
  }

  async close(): Promise<void> {
    this.#refusing = true;
    this.cut();
    this.#server.close();
    await once(this.#server, "close");
  }

  #take(near: Socket): void {
    if (this.#refusing) {
      this.refusals += 1;
      near.resetAndDestroy();
      return;
    }
    const connection = { near, far: connect(this.#target, "127.0.0.1"), halved: false };
    this.#connections.add(connection);
    this.#forward(connection, "near", "far");
    this.#forward(connection, "far", "near");
    if (!this.#held) near.resume();
  }

  #forward(connection: Connection, side: Side, otherSide: Side): void {
    const from = connection[side];
    const to = connection[otherSide];
    from.on("data", (chunk) => {
      if (!to.destroyed && !to.write(chunk)) from.pause();
    });
    to.on("drain", () => {
      if (!this.#held) from.resume();
    });
    from.on("end", () => {
      to.end();
    });
    // An error is followed by a close, which is all that matters here.
    from.on("error", () => undefined);
    from.on("close", () => {
      if (connection.halved && !to.destroyed) return;
      this.#connections.delete(connection);
      to.destroy();
    });
  }
}
