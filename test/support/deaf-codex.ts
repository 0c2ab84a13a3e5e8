/** The real Codex behind a relay that keeps some of what is asked to itself: an app-server that answers all but that. */
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { findCodex } from "../../runner-agent/codex/codex-program.ts";
import { folder } from "./codex.ts";

/** Path of a program to run as Codex: requests of these methods never arrive. */
export function deafCodex(...methods: string[]): string {
  const { file, args } = findCodex(undefined);
  const path = join(folder("deaf-codex"), "codex");
  writeFileSync(
    path,
    `#!${process.execPath}
const { spawn } = require("node:child_process");
const { createInterface } = require("node:readline");
const codex = spawn(${JSON.stringify(file)}, [...${JSON.stringify(args)}, ...process.argv.slice(2)], {
  stdio: ["pipe", "inherit", "inherit"],
});
codex.on("exit", (code) => process.exit(code ?? 1));
createInterface({ input: process.stdin })
  .on("line", (line) => {
    if (!${JSON.stringify(methods)}.includes(JSON.parse(line).method)) codex.stdin.write(line + "\\n");
  })
  .on("close", () => codex.stdin.end());
`,
  );
  chmodSync(path, 0o755);
  return path;
}
