/** The provider that answers with a saved script, and what it reads in Codex's conversation. */
import { describe, expect, onTestFinished, test } from "vitest";
import { nextMove, readReports, type InputItem } from "../../runner-agent/codex/code-mode/cell-report.ts";
import { ScriptProvider } from "../../runner-agent/codex/code-mode/script-provider.ts";
import { withOwnLines } from "../../runner-agent/codex/code-mode/saved-script.ts";

const exec = (callId = "script"): InputItem => ({ type: "custom_tool_call", call_id: callId, name: "exec" });
const wait = (callId: string): InputItem => ({ type: "function_call", call_id: callId, name: "wait" });
const output = (callId: string, ...texts: string[]): InputItem => ({
  type: "custom_tool_call_output",
  call_id: callId,
  output: texts.length === 1 ? texts[0] : texts.map((text) => ({ type: "input_text", text })),
});
const running = "Script running with cell ID 3\nWall time 1.0 seconds\nOutput:\n";
const completed = "Script completed\nWall time 1.0 seconds\nOutput:\n";
const failed = "Script failed\nWall time 1.0 seconds\nOutput:\n";

describe("the conversation", () => {
  test.each<[string, InputItem[], object]>([
    ["begins", [{ type: "message" }], { kind: "run" }],
    ["goes on", [exec(), output("script", running)], { kind: "wait", cellId: "3", waits: 0 }],
    [
      "goes on for long",
      [exec(), output("script", running, "a"), wait("wait_0"), output("wait_0", running)],
      { kind: "wait", cellId: "3", waits: 1 },
    ],
    ["completes", [exec(), output("script", completed, "a")], { kind: "end", failure: undefined }],
    [
      "completes behind a notification",
      [exec(), output("script", "noted"), output("script", completed)],
      { kind: "end", failure: undefined },
    ],
    [
      "fails",
      [exec(), output("script", failed, "a", "Script error:\nError: b")],
      { kind: "end", failure: "Error: b" },
    ],
    [
      "is refused",
      [exec(), output("script", "unsupported custom tool call: exec")],
      { kind: "end", failure: "Codex did not run it: unsupported custom tool call: exec" },
    ],
    ["is not answered", [exec()], { kind: "end", failure: "Codex did not run it: it does not say why" }],
  ])("%s", (_how, input, move) => {
    expect(nextMove(input)).toEqual(move);
  });

  test("tells what was printed, and not what Codex says about it", () => {
    expect(
      readReports([exec(), output("script", "noted"), output("script", failed, "a", "Script error:\nb")]),
    ).toEqual([
      { callId: "script", state: undefined, texts: ["noted"] },
      { callId: "script", state: { kind: "failed" }, texts: ["a"], error: "b" },
    ]);
  });
});

test("an error names the script and its own line", () => {
  expect(withOwnLines("Error: b\n    at f (exec_main.mjs:12:3)", "flow/x.js", 2)).toBe(
    "Error: b\n    at f (flow/x.js:10:3)",
  );
});

describe("the provider", () => {
  async function provider(): Promise<{ url: string; token: string; texts: string[]; all: ScriptProvider }> {
    const texts: string[] = [];
    const all = await ScriptProvider.start({
      source: "SOURCE",
      told: (report) => texts.push(...report.texts),
    });
    onTestFinished(() => all.stop());
    const [table] = Object.values(all.config("/catalog")["model_providers"] as object) as Array<{
      base_url: string;
      experimental_bearer_token: string;
    }>;
    return { url: table?.base_url ?? "", token: table?.experimental_bearer_token ?? "", texts, all };
  }

  async function ask(
    url: string,
    token: string,
    input: InputItem[],
  ): Promise<{ status: number; text: string }> {
    const headers = { authorization: `Bearer ${token}` };
    const answer = await fetch(`${url}/responses`, {
      method: "POST",
      headers,
      body: JSON.stringify({ input }),
    });
    return { status: answer.status, text: await answer.text() };
  }

  test("tells nobody the script who does not know its token", async () => {
    const { url, token } = await provider();
    for (const wrong of ["", "x", token.replace(/./, "x"), `${token}x`]) {
      const { status, text } = await ask(url, wrong, []);
      expect(status).toBe(401);
      expect(text).not.toContain("SOURCE");
    }
    expect((await fetch(url, { headers: { authorization: `Bearer ${token}` } })).status).toBe(404);
    expect((await ask(url, token, [])).text).toContain("SOURCE");
  });

  test("a request that Codex repeats tells nothing twice", async () => {
    const { url, token, texts, all } = await provider();
    const first = [exec(), output("script", running, "a")];
    await ask(url, token, first);
    await ask(url, token, first);
    expect(all.end).toBeUndefined();
    await ask(url, token, [...first, wait("wait_0"), output("wait_0", completed, "b")]);
    expect(texts).toEqual(["a", "b"]);
    expect(all.end).toMatchObject({ failure: undefined });
  });
});
