/** How many events a second the edge takes, against the floor of the same platform on the same machine. */
import { atLeast, atMost, median, type BenchOptions, type Figure } from "./figures.ts";
import { load, post, type Load } from "./http-load.ts";
import { edgeServer, floorServer, type Server } from "./servers.ts";

const WARM_UP = 60;
const MATCHED = 300;
const UNMATCHED = 800;
/** The ancestor on the same kind of machine (events a second, 16 at a time). */
const ANCESTOR_MATCHED_PER_SECOND = 47;
const ANCESTOR_UNMATCHED_PER_SECOND = 430;
const ANCESTOR_P99_AT_64_MS = 2_200;
const FLOOR_SHARE = 0.7;

interface Round {
  matched: Load;
  crowded: Load;
  unmatched: Load;
}

export async function round(
  server: Pick<Server, "url">,
  token: string,
  amount: BenchOptions["amount"],
): Promise<Round> {
  const send = (type: string) => () => post(server.url, token, type, { name: "x" });
  // First what matches nothing: runs that wait for a runner are looked after in the background.
  await load(amount(WARM_UP, 1), 16, send("bench.nobody"));
  const unmatched = await load(amount(UNMATCHED, 2), 16, send("bench.nobody"));
  await load(amount(WARM_UP, 1), 16, send("bench.quick"));
  const matched = await load(amount(MATCHED, 2), 16, send("bench.quick"));
  const crowded = await load(amount(MATCHED, 2), 64, send("bench.quick"));
  return { matched, crowded, unmatched };
}

export async function ingest({ rounds: count, amount }: BenchOptions): Promise<Figure[]> {
  const rounds: { edge: Round; floor: Round }[] = [];
  for (let n = 0; n < count; n += 1) {
    const floor = await floorServer();
    const floorRound = await round(floor, "none", amount).finally(() => floor.close());
    const edge = await edgeServer();
    const edgeRound = await round(edge, edge.secrets.tokens.write, amount).finally(() => edge.close());
    rounds.push({ edge: edgeRound, floor: floorRound });
  }
  const of = (pick: (round: Round) => number, side: "edge" | "floor" = "edge"): number =>
    median(rounds.map((one) => pick(one[side])));
  const share = (pick: (round: Round) => number): number =>
    median(rounds.map(({ edge, floor }) => pick(edge) / pick(floor)));
  return [
    atLeast(
      "matched, 16 at a time",
      of((r) => r.matched.perSecond),
      "/s",
      2 * ANCESTOR_MATCHED_PER_SECOND,
      { ancestor: ANCESTOR_MATCHED_PER_SECOND, aim: 3.5 * ANCESTOR_MATCHED_PER_SECOND },
    ),
    atLeast(
      "matched, share of the floor",
      share((r) => r.matched.perSecond),
      "×",
      FLOOR_SHARE,
    ),
    { name: "matched, floor", value: of((r) => r.matched.perSecond, "floor"), unit: "/s" },
    { name: "matched, p50 of 16 at a time", value: of((r) => r.matched.p50Ms), unit: "ms" },
    atMost(
      "matched, p99 of 64 at a time",
      of((r) => r.crowded.p99Ms),
      "ms",
      ANCESTOR_P99_AT_64_MS / 2,
      { ancestor: ANCESTOR_P99_AT_64_MS, aim: ANCESTOR_P99_AT_64_MS / 10 },
    ),
    atLeast(
      "unmatched, 16 at a time",
      of((r) => r.unmatched.perSecond),
      "/s",
      ANCESTOR_UNMATCHED_PER_SECOND,
      { ancestor: ANCESTOR_UNMATCHED_PER_SECOND, aim: 2 * ANCESTOR_UNMATCHED_PER_SECOND },
    ),
    atLeast(
      "unmatched, share of the floor",
      share((r) => r.unmatched.perSecond),
      "×",
      FLOOR_SHARE,
    ),
    { name: "unmatched, floor", value: of((r) => r.unmatched.perSecond, "floor"), unit: "/s" },
  ];
}
