/** Many steps at once in one app-server: what is asked, said, decided and used of one is never another's. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { checkout } from "../support/codex.ts";
import { codexBox, startCodexStep } from "../support/codex-step-life.ts";
import { command, structured, withUsage } from "../support/fake-model/answers.ts";
import type { Rule } from "../support/fake-model/fake-model.ts";

const STEPS = 20;
const numbers = Array.from({ length: STEPS }, (_nothing, n) => n);
/** As it stands in a prompt and in names of files: no number is a part of another one. */
const tag = (n: number): string => `task-${String(n).padStart(2, "0")}`;
const usage = (n: number) => ({ input: 100 + n, cached: 0, output: 10, reasoning: 0 });

test("20 that all wait for leave at once: each decision reaches its own command, each budget counts its own calls", async () => {
  const rules = numbers.map((n): Rule => {
    const done = structured({ status: "completed", message: tag(n) });
    return {
      prompt: tag(n),
      answers: [withUsage(command(`touch ${tag(n)}.made`), usage(n)), withUsage(done, usage(n))],
    };
  });
  const at = await codexBox(rules);
  const places = numbers.map(() => ({ ...at, cwd: checkout() }));
  // Nobody is answered before all have asked.
  const asked: string[] = [];
  const all = Promise.withResolvers<void>();
  const lives = await Promise.all(
    numbers.map((n) =>
      startCodexStep(places[n] ?? at, {
        template: `---\napproval_policy: untrusted\n---\nDo ${tag(n)}.`,
        request: { budget: { tokens: 100_000 } },
        watchers: (watchers) => {
          watchers.answer = async ({ title }) => {
            if (asked.push(title) === STEPS) all.resolve();
            await all.promise;
            return n % 2 === 0 ? { decision: "accept", by: "Ada" } : { decision: "decline", by: "Ada" };
          };
        },
      }),
    ),
  );
  // What is left of a step is found by its run: with one run for all, the first end would be everybody's.
  expect(new Set(lives.map(({ runId }) => runId)).size).toBe(STEPS);
  const ends = await Promise.all(lives.map(({ step }) => step.ended));
  for (const [n, life] of lives.entries()) {
    expect(ends[n]).toMatchObject({ reason: "exited", tree: { empty: true } });
    expect(life.watchers.asked.map(({ title }) => title)).toEqual([
      expect.stringContaining(`${tag(n)}.made`),
    ]);
    expect(existsSync(join(life.cwd, `${tag(n)}.made`)), life.told.join("")).toBe(n % 2 === 0);
    expect(life.results).toMatchObject([
      { status: "completed", message: tag(n), artifacts: { budget: { used: { tokens: 2 * (110 + n) } } } },
    ]);
    const others = numbers.filter((other) => other !== n).map(tag);
    const told = life.told.join("\n");
    expect(others.filter((other) => told.includes(other))).toEqual([]);
  }
  expect(new Set(lives.map(({ results }) => results[0]?.artifacts?.["threadId"])).size).toBe(STEPS);
});
