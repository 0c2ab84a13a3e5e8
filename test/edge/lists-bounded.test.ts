/** Lists of runs that have reported as much as a step may: bounded whatever is stored. */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterAll, expect, test } from "vitest";
import { LIST_MAX_ITEMS } from "../../contract/limits.ts";
import type { RunSummary } from "../../contract/run-view.ts";
import { dayOf, ledgersOfDay } from "../../durable-objects/day-ledger/naming.ts";
import { call, freshId, get, ledgerStub } from "./support/api.ts";
import { DAY_MS, seedRun } from "./support/ledgers.ts";
import { endObjects } from "./support/tidy.ts";

afterAll(endObjects);

const MB = 1_000_000;
const REPORT = "r".repeat(200_000);
const noon = (daysAgo: number): number => dayOf(Date.now()) - daysAgo * DAY_MS + DAY_MS / 2;

/** As an edge listed a run before lists were bounded: with its whole result. */
async function seedWholeRow(daysAgo: number, at: number, flow: string): Promise<void> {
  const { id, createdMs } = await seedRun(noon(daysAgo) + at, flow, {
    status: "completed",
    result: { status: "completed", message: "done" },
  });
  const [name = ""] = ledgersOfDay(env, dayOf(createdMs));
  await runInDurableObject(ledgerStub(name), (_instance, { storage }) => {
    storage.sql.exec(
      "UPDATE run SET view = json_set(view, '$.result.artifacts', json_object('diff', ?)) WHERE run_id = ?",
      REPORT,
      id,
    );
  });
}

test("500 runs with results of 200 KB are listed in less than 1 MB", async () => {
  const flow = freshId("flow");
  for (let at = 0; at < LIST_MAX_ITEMS; at += 1)
    await seedRun(noon(2) + at, flow, {
      status: "completed",
      result: {
        status: "changed",
        message: REPORT,
        artifacts: { diff: REPORT },
        next: [{ payload: REPORT }],
      },
    });
  const answer = await call("GET", `/runs?flow=${encodeURIComponent(flow)}&limit=${LIST_MAX_ITEMS}`);
  expect(answer.status).toBe(200);
  const text = await answer.text();
  expect(text.length).toBeLessThan(MB);
  const { runs } = JSON.parse(text) as { runs: RunSummary[] };
  expect(runs).toHaveLength(LIST_MAX_ITEMS);
  expect(runs[0]).toMatchObject({ effectiveStatus: "changed", artifactCount: 1, nextCount: 1 });
});

test("rows that an earlier version stored with whole results are listed like any other", async () => {
  const flow = freshId("flow");
  // More than one remote call can carry (32 MiB).
  const rows = 180;
  for (let at = 0; at < rows; at += 1) await seedWholeRow(3, at, flow);
  const { runs } = await get<{ runs: RunSummary[] }>(`/runs?flow=${encodeURIComponent(flow)}&limit=${rows}`);
  expect(runs).toHaveLength(rows);
  expect(runs[0]).toMatchObject({ artifactCount: 1, result: { status: "completed", message: "done" } });
  expect(JSON.stringify(runs).length).toBeLessThan(MB);
});
