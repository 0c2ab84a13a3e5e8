/** A saved script on a fork of Codex that runs it by itself, and where code mode is off. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { codexConfig } from "../../runner-agent/config/codex-config.ts";
import { isCodeModeOn } from "../../runner-agent/codex/code-mode/gate.ts";
import { codexKinds } from "../../runner-agent/codex/codex-kind.ts";
import { outcomeOf } from "../../contract/run-outcome.ts";
import { DEFAULT_CLOCKS } from "../../runner-agent/steps/clocks.ts";
import type { StepRequest } from "../../runner-agent/steps/step.ts";
import { folder } from "../support/codex.ts";
import { codexBox, runCodexStep, startCodexStep, type CodexBox } from "../support/codex-step-life.ts";

const command = fileURLToPath(new URL("../support/fake-codex-fork.mjs", import.meta.url));
const fork = (): Promise<CodexBox> => codexBox([], { command });
const runner = "code-mode" as const;

describe("a fork that has thread/codeMode/execute", () => {
  test("runs the script by itself, and what it says holds the result", async () => {
    const life = await runCodexStep(await fork(), {
      runner,
      template: `const { output } = await tools.exec_command({ cmd: "echo from $CODEX_FLOW_RUN_ID" });
text("some words\\n"); result({ status: "changed", message: flow.name + ": " + output });`,
    });
    expect(life.end).toMatchObject({ reason: "exited", tree: { empty: true } });
    expect(life.results).toMatchObject([
      {
        status: "changed",
        message: `review: from ${life.runId}\n`,
        artifacts: { threadId: "thread-of-the-fork" },
      },
    ]);
    expect(life.items).toContainEqual(expect.objectContaining({ type: "command", outcome: "completed" }));
  });

  test("whose script prints no result, or an invalid one, fails", async () => {
    const at = await fork();
    const none = await runCodexStep(at, { runner, template: "text('fine')" });
    expect(outcomeOf(none.end, undefined, false).error?.code).toBe("no_result");
    const invalid = await runCodexStep(at, { runner, template: "result({ status: 'great' })" });
    expect(outcomeOf(invalid.end, undefined, false).error?.code).toBe("invalid_result");
  });

  test("lets a cancel end what the script has started, and a secret is not told", async () => {
    const value = "s3cr3t-value-0123456789";
    const life = await startCodexStep(await fork(), {
      runner,
      template: `await tools.exec_command({ cmd: "echo $TOKEN; exec sleep 300 # ${value}" });`,
      secrets: [{ name: "TOKEN", value }],
      variables: { TOKEN: value },
    });
    await life.until(() => life.items.some(({ type }) => type === "command"));
    life.step.cancel("canceled");
    expect(await life.step.ended).toMatchObject({ reason: "canceled", tree: { empty: true } });
    expect(life.told.join("\n")).not.toContain(value);
  });
});

test.each(["account/read", "thread/codeMode/execute"])(
  "a server that was too busy for %s once is asked again by the next step",
  async (method) => {
    const busy = join(folder("busy-fork"), "codex");
    writeFileSync(busy, `#!/bin/sh\nBUSY_AT_FIRST=${method} exec ${process.execPath} ${command} "$@"\n`, {
      mode: 0o755,
    });
    const at = await codexBox([], { command: busy });
    const template = "result({ status: 'completed' })";
    const first = await runCodexStep(at, { runner, template });
    expect(first.end).toMatchObject({ reason: "abandoned", error: { code: "app_server_overloaded" } });
    const second = await runCodexStep(at, { runner, template });
    expect(second.results).toMatchObject([{ status: "completed" }]);
  },
);

describe("where code mode is off", () => {
  const off = { PATH: process.env["PATH"] };

  test("a step is refused in the ancestor's words, before anything of Codex is loaded", async () => {
    const { starters, stop } = codexKinds({
      config: { ...codexConfig(), command: "/nowhere/codex" },
      environment: off,
      runnerId: "runner",
      version: "0.0.0",
    });
    const request = { flow: { name: "fork" }, step: { name: "rebase" } } as StepRequest;
    const events = { output: () => undefined, result: () => undefined, signalled: () => undefined };
    const step = starters["code-mode"](request, events, DEFAULT_CLOCKS);
    const { reason, error } = await step.ended;
    expect(reason).toBe("refused");
    expect(error?.code).toBe("code_mode_off");
    expect(error?.message).toMatch(
      /^Code Mode flow step fork\/rebase requires CODEX_FLOWS_ENABLE_CODE_MODE=1/,
    );
    await stop();
  });

  test.each([
    [{ CODEX_FLOWS_MODE: "code-mode" }, true],
    [{ CODEX_FLOWS_ENABLE_CODE_MODE: "1" }, true],
    [{ CODEX_FLOWS_ENABLE_CODE_MODE: "Yes" }, true],
    [{ CODEX_FLOWS_ENABLE_CODE_MODE: "0" }, false],
    [{ CODEX_FLOWS_ENABLE_CODE_MODE: "" }, false],
    [{ CODEX_FLOWS_MODE: "codemode" }, false],
    [{}, false],
  ])("%j: %s", (environment, on) => {
    expect(isCodeModeOn(environment)).toBe(on);
  });
});
