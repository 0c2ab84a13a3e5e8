/** A guard that cannot be asked: nothing is begun, the box's audit says so, and a host is not told to answer in its place. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { EXIT } from "../../runner-agent/cli/exit-codes.ts";
import { codexFlow, type Ended } from "../support/command-line.ts";
import { temporaryFolder } from "../support/flow-workspace.ts";

/** Nobody listens there. */
const AWAY = "http://127.0.0.1:9";

async function away(words: string[]): Promise<Ended & { audit: Record<string, unknown>[] }> {
  const state = await temporaryFolder();
  const ended = await codexFlow(words, {
    environment: { CODEX_FLOW_URL: AWAY, CODEX_FLOW_TOKEN: "t", XDG_STATE_HOME: state },
  });
  const file = join(state, "codeflow", "guard-audit.jsonl");
  const lines = (await readFile(file, "utf8").catch(() => "")).split("\n").filter((line) => line !== "");
  return { ...ended, audit: lines.map((line) => JSON.parse(line) as Record<string, unknown>) };
}

describe("with the edge away", () => {
  test.each([
    ["run", ["relay", "--channel", "1", "--", "sh", "-c", "secret words"], "sh -c"],
    ["review", ["relay", "review", "--channel", "1", "https://example.com/o/r/pull/1"], "review"],
  ])("relay %s is refused, and that is in the box's audit", async (mode, words, commandHint) => {
    const { code, audit } = await away(words);
    expect(code).toBe(125);
    expect(audit).toMatchObject([{ place: "discord:1", mode, allowed: false, commandHint }]);
    expect(audit[0]?.["reason"]).toMatch(/^unavailable: /);
    expect(JSON.stringify(audit)).not.toContain("secret words");
  });

  test("control fails with a code of its own: not that by which a host says something itself", async () => {
    const words = ["control", "--channel", "1", "--session-key", "main", "--text", "/codeflow on"];
    const { code, out, err } = await away(words);
    expect([code, out]).toEqual([EXIT.edgeFailed, ""]);
    expect(err).toContain("cannot reach the edge");
  });

  test("guard says that the edge is away, as every command", async () => {
    expect((await away(["guard", "status", "--channel", "1"])).code).toBe(EXIT.unreachable);
  });
});
