/** The doctor as a program, against a real edge: what it says of a good box, a wrong token and a dead address. */
import { expect, onTestFinished, test } from "vitest";
import { temporaryFolder } from "../support/flow-workspace.ts";
import { codexFlow, Edge } from "../support/program.ts";
import { storyWorkspace } from "../support/story-workspace.ts";

interface Answer {
  ok: boolean;
  checks: { name: string; state: string; found: string; fix?: string }[];
}

test("edge, token and clock of a real edge: right, wrong and not there are three findings", async () => {
  const { root } = await storyWorkspace();
  const edge = await Edge.start({ state: await temporaryFolder(), workspace: root });
  onTestFinished(() => edge.stop());
  const doctor = async (...flags: string[]): Promise<{ code: number; found: Map<string, string> }> => {
    const { code, stdout, stderr } = await codexFlow(
      edge,
      ...["runner", "doctor", "--json", "--workspace", root, ...flags],
    );
    expect(stderr).toBe("");
    const { ok, checks } = JSON.parse(stdout) as Answer;
    expect(ok).toBe(code === 0);
    return { code, found: new Map(checks.map(({ name, state, found }) => [name, `${state}: ${found}`])) };
  };

  const good = await doctor("--token", edge.info.tokens.runner);
  expect(good.code, [...good.found].join("\n")).toBe(0);
  expect(good.found.get("edge")).toBe(`ok: ${edge.info.url} answers`);
  expect(good.found.get("token")).toBe("ok: the edge takes it as a runner's");
  expect(good.found.get("flows")).toContain("ok: blocked, deaf");
  expect(good.found.get("bun")).toMatch(/^ok: \d/);

  expect(good.found.get("clock")).toMatch(/^ok: [012] s /);

  const unknown = await doctor("--token", "nobody");
  expect([unknown.code, unknown.found.get("token")]).toEqual([
    1,
    "missing: the edge does not know this token",
  ]);
  const reader = await doctor("--token", edge.info.tokens.read);
  expect(reader.found.get("token")).toContain("none of a runner");
  const away = await doctor("--url", "http://127.0.0.1:1");
  expect(away.code).toBe(1);
  expect(away.found.get("edge")).toContain("cannot be reached");
  expect(away.found.get("clock")).toContain("not compared");
});
