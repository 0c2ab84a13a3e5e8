/**
 * What the platform itself costs here: the least that an honest answer needs. A matched event makes one object, which
 * writes three rows in one transaction and sends one queue message; one that matches nothing is a row in one object.
 */
import { DurableObject } from "cloudflare:workers";

export class EventFloor extends DurableObject {
  take(event) {
    const { sql } = this.ctx.storage;
    this.ctx.storage.transactionSync(() => {
      sql.exec("CREATE TABLE IF NOT EXISTS row (n INTEGER PRIMARY KEY, doc TEXT)");
      for (let n = 0; n < 3; n += 1) sql.exec("INSERT INTO row (doc) VALUES (?)", JSON.stringify(event));
    });
    this.ctx.waitUntil(this.env.QUEUE.send({ id: event.id }));
    return { status: "accepted" };
  }
}

export class ListFloor extends DurableObject {
  take(event) {
    const { sql } = this.ctx.storage;
    sql.exec("CREATE TABLE IF NOT EXISTS row (n INTEGER PRIMARY KEY, doc TEXT)");
    sql.exec("INSERT INTO row (doc) VALUES (?)", JSON.stringify(event));
    return { status: "accepted" };
  }
}

export default {
  async fetch(request, env) {
    const event = await request.json();
    const answer =
      event.type === "bench.nobody"
        ? await env.LISTS.getByName("all").take(event)
        : await env.EVENTS.getByName(event.id).take(event);
    return Response.json(answer, { status: 202 });
  },
  queue(batch) {
    batch.ackAll();
  },
};
