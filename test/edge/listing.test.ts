/** How a page is gathered from the ledgers of many days. */
import { expect, test } from "vitest";
import { LIST_MAX_ITEMS } from "../../contract/limits.ts";
import type { ListRow } from "../../durable-objects/day-ledger/storage.ts";
import type { Env } from "../../worker/env.ts";
import { listPage, ROWS_AT_ONCE_MAX } from "../../worker/listing.ts";

interface Asked {
  name: string;
  limit: number;
}

/** An edge whose ledgers answer what `rowsOf` says; only what a list needs of it. */
function edgeOf(shards: number): Env {
  const LEDGERS = { getByName: (name: string) => ({ name }) };
  return { LEDGERS, LEDGER_SHARDS: String(shards) } as unknown as Env;
}

test("a page over a month of 64 shards never has more rows on their way than the bound", async () => {
  let onTheirWay = 0;
  let most = 0;
  const asked: Asked[] = [];
  const page = await listPage<number>(
    edgeOf(64),
    undefined,
    LIST_MAX_ITEMS,
    async (ledger, _before, limit) => {
      const { name } = ledger as unknown as Asked;
      asked.push({ name, limit });
      onTheirWay += limit;
      most = Math.max(most, onTheirWay);
      await Promise.resolve();
      onTheirWay -= limit;
      return [];
    },
  );
  expect(page.items).toEqual([]);
  expect(new Set(asked.map(({ name }) => name)).size).toBe(asked.length);
  expect(asked.length).toBeGreaterThan(64 * 30);
  expect(most).toBeGreaterThan(LIST_MAX_ITEMS);
  expect(most).toBeLessThanOrEqual(ROWS_AT_ONCE_MAX);
});

test("a page that many ledgers of one day share shows the newest rows of all of them in order", async () => {
  const rows = (name: string): ListRow<string>[] => {
    const shard = Number(name.split("/")[1]);
    const day = Date.parse(name.slice(0, 10));
    return [2, 1].map((at) => ({ ms: day + at * 1000 + shard, id: name, view: `${at}/${shard}` }));
  };
  const page = await listPage<string>(edgeOf(3), undefined, 5, (ledger, _before, limit) =>
    Promise.resolve(rows((ledger as unknown as Asked).name).slice(0, limit)),
  );
  expect(page.items).toEqual(["2/2", "2/1", "2/0", "1/2", "1/1"]);
  expect(page.nextCursor).toBeDefined();
});
