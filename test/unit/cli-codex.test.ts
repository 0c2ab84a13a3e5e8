/** What the command line says of steps that Codex works for, before they run and after. */
import { join } from "node:path";
import { expect, test } from "vitest";
import { EXIT } from "../../runner-agent/cli/exit-codes.ts";
import { codexFlow } from "../support/command-line.ts";
import { workspaceWith, writeFiles } from "../support/flow-workspace.ts";

const RUN = "run_0123456789abcdef_1";

test("flows check names the prompt or schema that would end each run: 1", async () => {
  const workspace = await workspaceWith({
    "flows/look/flow.toml": `name = "look"\nversion = 1\n[[steps]]\nname = "run"\nrunner = "codex"\nscript = "prompt.md"\n`,
    "flows/look/prompt.md": "---\noutput: out.json\n---\nDo it.",
    "flows/look/out.json": `{"type": "object"}`,
  });
  const { code, out } = await codexFlow(["flows", "check"], { cwd: workspace });
  expect([code, out]).toEqual([EXIT.bad, "flows/look/out.json:1:1 must say additionalProperties: false\n"]);
});

test("runner raw finds a run's raw log in the journal of the workspace or of codex-flow dev, or says where it looked", async () => {
  const workspace = await workspaceWith({
    ".codex/runner.toml": `pool = "farm"\n`,
    [`.codex-flow/runner-farm/raw/${RUN}_a1.jsonl`]: "{}\n",
    ".codex-flow/runner-farm/raw/run_0123456789abcdef_11_a1.jsonl": "{}\n",
  });
  const folder = join(workspace, ".codex-flow/runner-farm/raw");
  const found = await codexFlow(["runner", "raw", RUN], { cwd: workspace });
  expect([found.code, found.out]).toEqual([EXIT.ok, `${join(folder, `${RUN}_a1.jsonl`)}\n`]);
  const json = await codexFlow(["runner", "raw", RUN, "--json"], { cwd: workspace });
  expect(JSON.parse(json.out)).toMatchObject({ files: [{ attempt: `${RUN}_a1`, bytes: 3 }] });
  const none = await codexFlow(["runner", "raw", "run_0123456789abcdef_2"], { cwd: workspace });
  expect([none.code, none.err]).toEqual([EXIT.usage, expect.stringContaining(folder)]);
  const dev = "run_0123456789abcdef_3";
  await writeFiles(workspace, { [`.codex-flow/dev/runner/raw/${dev}_a1.jsonl`]: "{}\n" });
  expect((await codexFlow(["runner", "raw", dev], { cwd: workspace })).code).toBe(EXIT.ok);
  const odd = await codexFlow(["runner", "raw", "../../etc"], { cwd: workspace });
  expect(odd.code).toBe(EXIT.usage);
});
