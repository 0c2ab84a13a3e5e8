/** What Codex has told, word for word: where it stands, that no secret does, and that it never becomes too much. */
import { existsSync, mkdirSync, readdirSync, readFileSync, utimesSync, writeFileSync } from "node:fs";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { RawLogs, rawFiles, RAW_ATTEMPT_MAX_BYTES } from "../../runner-agent/codex/raw-log.ts";
import { folder } from "../support/codex.ts";
import { codexBox, runCodexStep } from "../support/codex-step-life.ts";
import { command, structured } from "../support/fake-model/answers.ts";
import { until } from "../support/until.ts";

const MINUTE_MS = 60_000;
const RUN = "run_0123456789abcdef_1";
const limits = {
  attemptBytes: RAW_ATTEMPT_MAX_BYTES,
  totalBytes: 4 * RAW_ATTEMPT_MAX_BYTES,
  keptMs: 100 * MINUTE_MS,
};

test("all that a turn tells stands there, and none of the box's secrets in any of their forms", async () => {
  const value = "s3cr3t-value-0123456789";
  const script = `printf %s "$TOKEN"; echo; printf %s "$TOKEN" | base64; printf %s "$TOKEN" | fold -w 4`;
  const raw = folder("raw");
  const done = structured({ status: "completed", message: value });
  const at = await codexBox([{ answers: [command(script), done] }], { raw });
  const life = await runCodexStep(at, {
    template: "---\napproval_policy: never\n---\nDo it.",
    request: { runId: RUN },
    secrets: [{ name: "TOKEN", value }],
    variables: { TOKEN: value },
  });
  expect(life.results).toHaveLength(1);
  const file = join(raw, `${RUN}_a1.jsonl`);
  // Nothing waits for it.
  const text = await until(() => {
    const written = existsSync(file) ? readFileSync(file, "utf8") : "";
    return written.includes(`"turn/completed"`) ? written : undefined;
  });
  const methods = text
    .trimEnd()
    .split("\n")
    .map((line) => (JSON.parse(line) as { method: string }).method);
  expect(methods).toEqual(expect.arrayContaining(["turn/started", "item/completed", "turn/completed"]));
  expect(text).toContain("***");
  for (const form of [value, Buffer.from(value).toString("base64")]) expect(text).not.toContain(form);
  expect((await stat(file)).mode & 0o777).toBe(0o600);
});

test("of an attempt that tells too much, the beginning is kept, and said so", async () => {
  const raw = folder("raw");
  const log = new RawLogs(raw).begin(`${RUN}_a1`);
  for (let n = 0; n < 9; n += 1) log.write({ n, text: "x".repeat(1024 * 1024) });
  await log.end();
  const [file] = await rawFiles(raw);
  expect(file?.bytes).toBeLessThanOrEqual(RAW_ATTEMPT_MAX_BYTES);
  const lines = readFileSync(file?.path ?? "", "utf8")
    .trimEnd()
    .split("\n");
  expect(lines).toHaveLength(8);
  expect(lines.at(-1)).toContain("leftOut");
});

test("what is old goes, and of too much the oldest; what runs and what is no attempt's stays", async () => {
  const raw = folder("raw");
  const now = Date.now();
  const made = (name: string, ageMs: number): void => {
    writeFileSync(join(raw, name), "x".repeat(RAW_ATTEMPT_MAX_BYTES / 2));
    utimesSync(join(raw, name), (now - ageMs) / 1000, (now - ageMs) / 1000);
  };
  for (let n = 1; n <= 9; n += 1) made(`${RUN}_a${n}.jsonl`, (90 - 10 * n) * MINUTE_MS);
  made(`run_0123456789abcdef_2_a1.jsonl`, 500 * MINUTE_MS);
  made("notes.txt", 500 * MINUTE_MS);
  const logs = new RawLogs(raw, limits);
  await logs.prune(now);
  expect(readdirSync(raw).sort()).toEqual(
    ["notes.txt", ...[2, 3, 4, 5, 6, 7, 8, 9].map((n) => `${RUN}_a${n}.jsonl`)].sort(),
  );
  // One that begins is counted as full.
  const live = logs.begin(`${RUN}_a2`);
  live.write({ still: "there" });
  await live.end();
  expect((await rawFiles(raw)).map(({ attempt }) => attempt)).toEqual(
    [4, 5, 6, 7, 8, 9, 2].map((n) => `${RUN}_a${n}`),
  );
});

test("where nothing can be written, nothing waits and nothing fails", async () => {
  const closed = folder("raw");
  writeFileSync(join(closed, "raw"), "a file where the folder should be");
  const log = new RawLogs(join(closed, "raw")).begin(`${RUN}_a1`);
  log.write({ n: 1 });
  await log.end();
  log.write({ n: 2 });
  const taken = folder("raw");
  mkdirSync(join(taken, `${RUN}_a1.jsonl`));
  const other = new RawLogs(taken).begin(`${RUN}_a1`);
  other.write({ n: 1 });
  await other.end();
  expect(existsSync(join(taken, `${RUN}_a1.jsonl`))).toBe(true);
});
