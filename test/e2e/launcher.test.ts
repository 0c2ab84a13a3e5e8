/**
 * bin/codex-flow.mjs under a Node that is too old for the program. It starts the bundled Node and must be transparent for
 * signals and exit codes, since a supervisor or a shell knows only the process that it has started. The program behind it is
 * a small one that writes down the signals that it gets.
 */
import { copyFile, mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { spawn as spawnInTerminal } from "@lydell/node-pty";
import { execa } from "execa";
import { expect, onTestFinished, test } from "vitest";
import { temporaryFolder } from "../support/flow-workspace.ts";
import { node } from "../support/program.ts";
import { until } from "../support/until.ts";

const project = fileURLToPath(new URL("../../", import.meta.url));

/** Makes a Node tell the launcher an old version; what the launcher starts tells its own. */
const AN_OLD_NODE = [
  "--import",
  `data:text/javascript,Object.defineProperty(process,"versions",{value:{...process.versions,node:"20.20.2"}})`,
];

/** Prints each signal that it gets, and ends with 7 behind the one that is named "last". */
const PROGRAM = `
const last = process.argv[2];
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"])
  process.on(signal, () => {
    console.log("got " + signal);
    if (signal === last) process.exit(7);
  });
setInterval(() => undefined, 1000);
console.log("pid " + process.pid + " node " + process.versions.node);
`;

/** The launcher in a folder of its own, with that program in place of the real one. */
async function launcher(): Promise<string> {
  const folder = await temporaryFolder();
  await mkdir(join(folder, "bin"));
  await mkdir(join(folder, "dist"));
  await copyFile(join(project, "bin/codex-flow.mjs"), join(folder, "bin/codex-flow.mjs"));
  await writeFile(join(folder, "package.json"), '{"type":"module"}');
  await writeFile(join(folder, "dist/codex-flow.js"), PROGRAM);
  await symlink(join(project, "node_modules"), join(folder, "node_modules"));
  return join(folder, "bin/codex-flow.mjs");
}

async function start(...args: string[]) {
  // A session of its own: it has no terminal, as under a supervisor.
  const child = execa(node, [...AN_OLD_NODE, await launcher(), ...args], {
    detached: true,
    reject: false,
    stdin: "ignore",
    buffer: false,
  });
  let output = "";
  child.stdout.on("data", (text: Buffer) => (output += text.toString()));
  onTestFinished(() => void child.kill("SIGKILL"));
  await until(() => (output.includes("pid ") ? true : undefined));
  const pid = Number(/pid (\d+)/.exec(output)?.[1]);
  onTestFinished(() => {
    if (isAlive(pid)) process.kill(pid, "SIGKILL");
  });
  return { child, pid, output: () => output };
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

test.for(["SIGINT", "SIGTERM", "SIGHUP"] as const)(
  "%s to a launcher that runs under an old Node reaches the program, and the launcher waits for its exit code",
  async (signal) => {
    const { child, pid, output } = await start(signal);
    expect(output()).not.toContain("node 20");
    child.kill(signal);
    expect((await child).exitCode).toBe(7);
    expect(output()).toContain(`got ${signal}`);
    expect(isAlive(pid)).toBe(false);
  },
);

test("a second signal to a launcher that runs under an old Node reaches the program too", async () => {
  const { child, output } = await start("SIGTERM");
  child.kill("SIGINT");
  await until(() => (output().includes("got SIGINT") ? true : undefined));
  child.kill("SIGTERM");
  expect((await child).exitCode).toBe(7);
  expect(output()).toMatch(/got SIGINT\s+got SIGTERM/);
});

test("a launcher whose program dies of a signal dies of the same signal", async () => {
  const { child, pid } = await start();
  process.kill(pid, "SIGKILL");
  expect(await child).toMatchObject({ signal: "SIGKILL" });
});

test("one Ctrl-C at a terminal is one SIGINT for a program behind a launcher under an old Node", async () => {
  const terminal = spawnInTerminal(node, [...AN_OLD_NODE, await launcher(), "SIGTERM"], {});
  let output = "";
  terminal.onData((text) => (output += text));
  const ended = new Promise<number>((resolve) => terminal.onExit(({ exitCode }) => resolve(exitCode)));
  onTestFinished(() => {
    if (isAlive(terminal.pid)) terminal.kill("SIGKILL");
  });
  await until(() => (output.includes("pid ") ? true : undefined));
  terminal.write("\u0003");
  await until(() => (output.includes("got SIGINT") ? true : undefined));
  // Whatever the launcher passes on it passes on in order: behind this one there is no SIGINT of its own to come.
  process.kill(terminal.pid, "SIGTERM");
  expect(await ended).toBe(7);
  expect(output.match(/got SIGINT/g)).toHaveLength(1);
});
