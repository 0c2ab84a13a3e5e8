/** A page of the newest events costs the same however many there are. */
import { createEdgeClient } from "../client/http.ts";
import { atMost, median, type BenchOptions, type Figure } from "./figures.ts";
import { load, post } from "./http-load.ts";
import { edgeServer } from "./servers.ts";

const FEW = 200;
const MANY = 20_000;
const PAGE = 50;
const WARM_UP = 20;
const LOOKS = 100;
const RATIO_MAX = 1.5;
const AT_A_TIME = 32;

export async function list({ amount }: BenchOptions): Promise<Figure[]> {
  const [few, many, looks] = [amount(FEW, PAGE), amount(MANY, PAGE + 1), amount(LOOKS, 1)];
  const edge = await edgeServer();
  try {
    const token = edge.secrets.tokens.write;
    const client = createEdgeClient({ url: edge.url, token });
    const send = (): Promise<void> => post(edge.url, token, "bench.nobody", { name: "x" });
    const look = async (): Promise<number> => {
      const latencies: number[] = [];
      for (let n = 0; n < WARM_UP + looks; n += 1) {
        const asked = performance.now();
        const { events } = await client.listEvents({ limit: PAGE });
        if (events.length !== PAGE) throw new Error(`a page of ${events.length} events`);
        if (n >= WARM_UP) latencies.push(performance.now() - asked);
      }
      return median(latencies);
    };
    await load(few, AT_A_TIME, send);
    const atFewMs = await look();
    await load(many - few, AT_A_TIME, send);
    const atManyMs = await look();
    return [
      { name: `GET /events?limit=${PAGE} at ${few} events, p50`, value: atFewMs, unit: "ms" },
      { name: `GET /events?limit=${PAGE} at ${many} events, p50`, value: atManyMs, unit: "ms" },
      atMost("the second over the first", atManyMs / atFewMs, "×", RATIO_MAX),
    ];
  } finally {
    await edge.close();
  }
}
