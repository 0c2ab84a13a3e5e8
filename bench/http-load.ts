/** A closed loop of requests: so many at a time, each followed by the next. */
import { quantile } from "./figures.ts";

export interface Load {
  perSecond: number;
  p50Ms: number;
  p99Ms: number;
}

export async function load(
  count: number,
  atATime: number,
  request: (index: number) => Promise<void>,
): Promise<Load> {
  const latencies: number[] = [];
  let next = 0;
  const began = performance.now();
  await Promise.all(
    Array.from({ length: atATime }, async () => {
      for (let index = next++; index < count; index = next++) {
        const sent = performance.now();
        await request(index);
        latencies.push(performance.now() - sent);
      }
    }),
  );
  const seconds = (performance.now() - began) / 1000;
  return { perSecond: count / seconds, p50Ms: quantile(latencies, 0.5), p99Ms: quantile(latencies, 0.99) };
}

let serial = 0;

/** Posts one event with an id that was never used before; anything but a 202 is an error. */
export async function post(url: string, token: string, type: string, payload: unknown): Promise<void> {
  serial += 1;
  const answer = await fetch(`${url}/events`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${token}` },
    body: JSON.stringify({ id: `bench:${process.pid}:${serial}`, type, payload }),
  });
  const text = await answer.text();
  if (answer.status !== 202) throw new Error(`POST /events answered ${answer.status}: ${text}`);
}
