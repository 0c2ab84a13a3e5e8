/**
 * The documentation says what the code does: generated pages are fresh, every bound has its value, every code that
 * somebody may meet has its meaning and remedy, every link leads somewhere.
 */
import { existsSync, globSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import * as limits from "../../contract/limits.ts";
import { boundText, isBoundName } from "../../scripts/docs/bounds.ts";
import { generatedPages } from "../../scripts/docs/generated-docs.ts";
import { projectPath } from "../../scripts/project.ts";

const read = (path: string): string => readFileSync(projectPath(path), "utf8");
const pages = globSync("docs/*.md", { cwd: projectPath() }).map((path) => ({ path, text: read(path) }));
const operations = read("docs/operations.md");

/** Every way in which this code gives a failure or a wait its code. */
const CODE_PATTERNS = [
  /\bcode: "([a-z_]+)"/g,
  /\b(?:reason|refused?|reject)\(\s*(?:\w+,\s*)?"([a-z_]+)",/g,
  /Error\(\s*"([a-z_]+)",/g,
  /super\(\s*"([a-z_]+)",/g,
];

/** Of runs that no pool holds. */
const WAITS_OF_THE_WORKER = ["on_its_way", "relay_not_connected"];

function codesIn(...patterns: string[]): string[] {
  const sources = globSync(patterns, { cwd: projectPath() }).map(read);
  const found = sources.flatMap((text) =>
    CODE_PATTERNS.flatMap((pattern) => [...text.matchAll(pattern)].map((match) => match[1] ?? "")),
  );
  return [...new Set(found)].sort();
}

/** The part of a page under a heading, up to the next one of its level. */
function section(heading: string): string {
  return operations.split(/^## /m).find((part) => part.startsWith(`${heading}\n`)) ?? "";
}

function missingIn(heading: string, codes: string[]): string[] {
  const text = section(heading);
  return codes.filter((code) => !text.includes(`\`${code}\``));
}

test("a generated page that is not what the code says is stale: run node scripts/build-docs.ts", async () => {
  for (const { path, content } of await generatedPages()) expect(read(path), path).toBe(content);
});

describe("bounds (invariant 12)", () => {
  test("every bound of the contract stands in operations.md with its value", () => {
    const rows = section("Bounds").replaceAll(/ +/g, " ");
    const missing = Object.keys(limits).filter(
      (name) => !isBoundName(name) || !rows.includes(`| ${boundText(name)} | \`${name}\` |`),
    );
    expect(missing).toEqual([]);
  });

  test("a bound that a text names has the value of the code", () => {
    const wrong = pages.flatMap(({ path, text }) =>
      [...text.matchAll(/([^\s|(]+(?: [^\s|(]+)?) \(`([A-Z][A-Z_]+)`\)/g)]
        .filter(([, said = "", name = ""]) => !isBoundName(name) || !said.endsWith(boundText(name)))
        .map(([whole]) => `${path}: ${whole}`),
    );
    expect(wrong).toEqual([]);
  });
});

describe("codes that somebody may meet stand in operations.md", () => {
  test("why a run waits", () => {
    const codes = [...codesIn("durable-objects/runner-pool/rules.ts"), ...WAITS_OF_THE_WORKER];
    expect(codes).toContain("no_runner");
    expect(missingIn("Why a run waits", codes)).toEqual([]);
  });

  test("why a run or an attempt ended badly", () => {
    const codes = codesIn(
      "contract/run-outcome.ts",
      "contract/run-clocks.ts",
      "contract/run-lifecycle.ts",
      "durable-objects/flow-event/run-sockets.ts",
      "runner-agent/*.ts",
      "runner-agent/link/*.ts",
      "runner-agent/steps/*.ts",
      "runner-agent/workspace/*.ts",
    );
    expect(codes).toContain("runner_unsupported");
    expect(codes).toContain("workspace_quota");
    expect(missingIn("Why a run failed", codes)).toEqual([]);
  });

  test("what a request is answered", () => {
    // What is said in a chat is no HTTP error, and says itself what to do.
    const routes = ["worker/*.ts", "worker/{auth,catalog,relay,routes}/**/*.ts", "worker/chat/guard.ts"];
    const codes = codesIn("contract/errors.ts", ...routes).filter(
      (code) => !WAITS_OF_THE_WORKER.includes(code),
    );
    expect(codes).toContain("event_not_found");
    expect(missingIn("HTTP errors", codes)).toEqual([]);
  });

  test("what local mode says beside them", () => {
    const known = section("HTTP errors") + section("Why a run failed");
    const codes = [...codesIn("runner-agent/local/*.ts"), "state_unwritable", "local_mode_unavailable"];
    expect(codes).toContain("state_corrupt");
    const own = codes.filter((code) => !known.includes(`\`${code}\``));
    expect(missingIn("Local mode", own)).toEqual([]);
  });

  test("why the edge sends a runner away", () => {
    const codes = codesIn("durable-objects/runner-pool/{hello,object}.ts");
    expect(codes).toContain("too_many_runners");
    expect(missingIn("Why a runner is sent away", codes)).toEqual([]);
  });
});

test("every link to a page of the project leads to one", () => {
  const all = [...pages, { path: "README.md", text: read("README.md") }];
  const broken = all.flatMap(({ path, text }) =>
    [...text.matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)]
      .map((match) => match[1] ?? "")
      .filter((target) => !existsSync(projectPath(`${path}/../${target}`)))
      .map((target) => `${path}: ${target}`),
  );
  expect(broken).toEqual([]);
});
