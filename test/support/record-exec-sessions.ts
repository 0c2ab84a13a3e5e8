/**
 * Records what the real `codex exec --json` prints of a session, into test/fixtures/codex-exec/: `node
 * test/support/record-exec-sessions.ts [name …]`. To be run again when `@openai/codex` is updated. Paths of this machine are
 * replaced; ids stay as they came.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { projectPath } from "../../scripts/project.ts";
import { codexProgram } from "./codex-exec.ts";
import {
  command,
  httpError,
  message,
  patch,
  reasoning,
  together,
  type Answer,
} from "./fake-model/answers.ts";
import { writeCodexHome } from "./fake-model/codex-home.ts";
import { FakeModel } from "./fake-model/fake-model.ts";

const SESSIONS: Record<string, Answer[]> = {
  work: [
    together(reasoning("Look first."), command("ls && cat keep.txt")),
    command("grep nothing keep.txt"),
    patch("*** Add File: new.txt", "+first", "+second", "*** Update File: keep.txt", "@@", "-one", "+two"),
    command("echo broken >&2; exit 3"),
    message("done: two files"),
  ],
  failed: [httpError(400, "bad")],
};

const folder = projectPath("test/fixtures/codex-exec");
mkdirSync(folder, { recursive: true });
for (const [name, answers] of Object.entries(SESSIONS)) {
  if (process.argv.length > 2 && !process.argv.includes(name)) continue;
  const model = await FakeModel.start([{ answers }]);
  const home = writeCodexHome(model.url);
  const cwd = mkdtempSync(join("/var/tmp", "exec-session-"));
  execFileSync("git", ["init", "-q"], { cwd });
  writeFileSync(join(cwd, "keep.txt"), "one\n");
  const { stdout } = await execa(codexProgram(), ["exec", "--json", "-"], {
    cwd,
    input: "do it",
    env: { PATH: process.env["PATH"] ?? "", HOME: home, CODEX_HOME: home, TMPDIR: "/var/tmp" },
    extendEnv: false,
    reject: false,
  });
  writeFileSync(join(folder, `${name}.jsonl`), `${stdout.replaceAll(cwd, "/checkout")}\n`);
  await model.stop();
  for (const path of [home, cwd]) rmSync(path, { recursive: true, force: true });
}
