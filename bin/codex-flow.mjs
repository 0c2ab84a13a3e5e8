#!/usr/bin/env node
// Starts the built program under a Node that can run it: an older system Node hands over to the one that npm has installed
// beside this package.
import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { constants } from "node:os";
import { fileURLToPath } from "node:url";

const NEEDED = [22, 18];
const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);

if (major > NEEDED[0] || (major === NEEDED[0] && minor >= NEEDED[1])) {
  await startProgram();
} else {
  const node = bundledNode();
  if (node === undefined) {
    console.error(
      `error: codex-flow needs Node ${NEEDED.join(".")} or newer; this is ${process.versions.node}`,
    );
    console.error(
      "fix: install a newer Node, or run npm install in the project so that its own Node is there",
    );
    process.exit(2);
  }
  handOver(node);
}

/**
 * Runs the program under another Node and ends as it ends. A Node below 22.15 cannot replace its own process, so this one
 * stays, passes on the signals that are sent to it, and waits: a supervisor that stops it stops the program.
 */
function handOver(node) {
  const child = spawn(node, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: "inherit" });
  const hadTerminal = terminal().exists;
  const passOn = (signal) => {
    // A terminal sends these to its whole foreground group, so the program has this one already. Passing it on would make
    // one Ctrl-C two, and a second one means "stop now".
    const { exists, isForeground } = terminal();
    const sentToGroup = isForeground || (hadTerminal && !exists);
    if (signal === "SIGTERM" || !sentToGroup) child.kill(signal);
  };
  const signals = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"];
  for (const signal of signals) process.on(signal, passOn);
  child.on("error", (error) => {
    console.error(`error: cannot start ${node}: ${error.message}`);
    console.error("fix: install Node 22.18 or newer, or run npm install in the project again");
    process.exit(2);
  });
  child.on("exit", (status, signal) => {
    if (signal === null) process.exit(status ?? 70);
    for (const passed of signals) process.off(passed, passOn);
    process.kill(process.pid, signal);
    // As process 1 of a container a signal without a handler is ignored, so end with the shell's code for it.
    setTimeout(() => process.exit(128 + (constants.signals[signal] ?? 0)), 100);
  });
}

/** Whether this process has a terminal, and is in the group that the terminal's keys send signals to. */
function terminal() {
  try {
    // Fields behind the name, which may contain anything: state, parent, group, session, terminal, foreground group.
    const stat = readFileSync("/proc/self/stat", "utf8");
    const [, , group, , device, foreground] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return { exists: device !== "0", isForeground: device !== "0" && group === foreground };
  } catch {
    // No /proc, as on macOS: whoever has a terminal on a standard stream is taken to be in its foreground.
    const exists = [process.stdin, process.stdout, process.stderr].some(({ isTTY }) => isTTY === true);
    return { exists, isForeground: exists };
  }
}

async function startProgram() {
  const program = new URL("../dist/codex-flow.js", import.meta.url);
  if (!existsSync(program)) {
    console.error("error: codex-flow is not built");
    console.error("fix: run npm run build in the project");
    process.exit(2);
  }
  quietWarnings();
  if (process.argv[2] === "runner" && process.argv[3] === "start") restartSmall();
  await import(program.href);
}

/**
 * An agent runs for months: V8 must not let its space for young objects grow to 16 MB and keep it (a sixth of the
 * agent's memory, measured). That is decided when Node starts, so the process replaces itself, under the same pid, once.
 */
function restartSmall() {
  const flag = "--max-semi-space-size=1";
  if (process.execArgv.includes(flag) || process.execve === undefined || process.platform === "win32") return;
  process.execve(process.execPath, [process.execPath, ...process.execArgv, flag, ...process.argv.slice(1)]);
}

/** Node 22 says of node:sqlite and of execve that they may change one day; nobody who runs an agent can act on it. */
function quietWarnings() {
  const emitWarning = process.emitWarning.bind(process);
  process.emitWarning = (warning, ...rest) => {
    if (!/^(SQLite|process\.execve) is an experimental feature/.test(String(warning)))
      emitWarning(warning, ...rest);
  };
}

function bundledNode() {
  const require = createRequire(import.meta.url);
  for (const name of [
    `node-${process.platform === "win32" ? "win" : process.platform}-${process.arch}`,
    `node-bin-${process.platform}-${process.arch}`,
  ]) {
    try {
      const manifest = require.resolve(`${name}/package.json`);
      const node = manifest.replace(
        /package\.json$/,
        process.platform === "win32" ? "bin/node.exe" : "bin/node",
      );
      if (existsSync(node)) return node;
    } catch {
      // Not this platform's package.
    }
  }
  return undefined;
}
