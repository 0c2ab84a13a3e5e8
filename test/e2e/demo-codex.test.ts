/** `npm run demo -- --codex` shows what it says it shows, and leaves nothing behind. */
import { randomUUID } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { expect, test } from "vitest";
import { node } from "../support/program.ts";
import { processesWith } from "../support/run-processes.ts";
import { until } from "../support/until.ts";

const project = join(import.meta.dirname, "../..");
const worktrees = join(project, ".codex-flow/demo-codex/workspace/.codex/worktrees");

interface Shown {
  exitCode: number | undefined;
  stdout: string;
  stderr: string;
}

/** `meanwhile` gets a mark that every process of the demo bears in its environment. */
async function demo(flags: string[], meanwhile?: (mark: string) => Promise<void>): Promise<Shown> {
  // Codex gets few variables of the agent's, and USER is one of them.
  const mark = `demo-${randomUUID()}`;
  const shown = execa(node, [join(project, "scripts/demo.ts"), ...flags], {
    // Where CI is set, a pipe has colours too.
    env: { USER: mark, NO_COLOR: "1" },
    reject: false,
    stdin: "ignore",
  });
  await meanwhile?.(mark);
  const { exitCode, stdout, stderr } = await shown;
  expect(processesWith("environ", mark)).toEqual([]);
  return { exitCode, stdout, stderr };
}

/** Until Codex is there: a mark that nobody bears would find nothing left. */
async function codexBears(mark: string): Promise<void> {
  await until(() => {
    const servers = new Set(processesWith("cmdline", "app-server"));
    return processesWith("environ", mark).some((pid) => servers.has(pid)) ? true : undefined;
  });
}

test("Codex asks, is allowed to from a second process, changes a file in a worktree and answers in a schema's form", async () => {
  const before = await readdir("/var/tmp");
  const { exitCode, stdout, stderr } = await demo(["--codex"], codexBears);
  expect(exitCode, stderr).toBe(0);
  expect(stdout).toContain("the model is a fake on this machine");
  expect(stdout).toMatch(/a1-1 .*file_change.*change hello\.mjs/);
  expect(stdout).toMatch(/\$ codex-flow approvals accept run_\w+\n.*accept.*change hello\.mjs/);
  expect(stdout).toContain('"after": "hello world"');

  const [worktree = ""] = (await readdir(worktrees)).filter(
    (name) => name.startsWith("run_") && !name.includes("."),
  );
  const file = join(worktrees, worktree, "hello.mjs");
  expect(await readFile(file, "utf8")).toContain('process.argv[2] ?? "world"');
  expect((await execa(node, [file])).stdout).toBe("hello world");
  const checkout = join(project, ".codex-flow/demo-codex/workspace/app/hello.mjs");
  expect(await readFile(checkout, "utf8")).not.toContain("world");

  const homes = (await readdir("/var/tmp")).filter(
    (name) => name.startsWith("codex-flow-demo-") && !before.includes(name),
  );
  expect(homes).toEqual([]);
});

test("flags that say nothing are refused before anything is started", async () => {
  for (const flags of [["--model", "real"], ["--codex", "--model", "best"], ["--codexx"]]) {
    const { exitCode, stdout, stderr } = await demo(flags);
    expect({ exitCode, stdout }, flags.join(" ")).toEqual({ exitCode: 2, stdout: "" });
    expect(stderr).toContain("usage: npm run demo");
  }
});
