#!/usr/bin/env node
/**
 * An app-server of a fork of Codex, which runs a saved script by itself: `thread/codeMode/execute`. As the fork does, it
 * says what the script has printed as one message of the agent. Plain JavaScript, since it is started as Codex is: as a
 * program, by whatever Node is there.
 */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

let environment = {};
let cwd = ".";
let running;
/** This method is refused as often as a client tries, and answered from then on. */
const busyAtFirst = process.env["BUSY_AT_FIRST"];
let refusals = 0;

function say(message) {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

const ANSWERS = {
  initialize: () => ({ userAgent: "a fork" }),
  "account/read": () => ({ account: null, requiresOpenaiAuth: true }),
  "command/exec": () => ({ exitCode: 0, stdout: "", stderr: "" }),
  "thread/start": (params) => {
    environment = params.config.shell_environment_policy.set;
    cwd = params.cwd;
    const sandbox = { type: "workspaceWrite", networkAccess: false };
    const { approvalPolicy } = params;
    return { thread: { id: "thread-of-the-fork", status: { type: "idle" } }, sandbox, approvalPolicy, cwd };
  },
  "thread/codeMode/execute": ({ threadId, source }) => {
    if (threadId === "") throw new Error("invalid thread id");
    void turn(threadId, source);
    return {};
  },
  "turn/interrupt": ({ threadId }) => {
    running?.kill("SIGTERM");
    completed(threadId, "interrupted");
    return {};
  },
};

function completed(threadId, status) {
  say({
    method: "turn/completed",
    params: { threadId, turn: { id: "turn-1", status, error: null, durationMs: 1, items: [] } },
  });
}

async function turn(threadId, source) {
  const about = { threadId, turnId: "turn-1" };
  say({
    method: "turn/started",
    params: { threadId, turn: { id: "turn-1", status: "inProgress", error: null } },
  });
  const printed = [];
  const ended = Symbol("exit");
  const tools = { exec_command: ({ cmd }) => command(about, cmd) };
  const exit = () => {
    throw ended;
  };
  const AsyncFunction = (async () => undefined).constructor;
  try {
    await new AsyncFunction("tools", "text", "exit", source)(tools, (text) => printed.push(text), exit);
  } catch (error) {
    if (error !== ended) printed.push(String(error));
  }
  const item = { type: "agentMessage", id: "said", text: printed.join("") };
  say({ method: "item/completed", params: { ...about, item } });
  completed(threadId, "completed");
}

async function command(about, cmd) {
  running = spawn("/bin/sh", ["-c", cmd], { cwd, env: environment });
  const item = { type: "commandExecution", id: `exec-${running.pid}`, command: cmd, cwd, commandActions: [] };
  say({ method: "item/started", params: { ...about, item: { ...item, status: "inProgress" } } });
  const output = [];
  running.stdout.on("data", (bytes) => output.push(bytes));
  const exitCode = await new Promise((resolve) => running.on("close", resolve));
  const aggregatedOutput = Buffer.concat(output).toString();
  const over = { ...item, status: "completed", exitCode, aggregatedOutput };
  say({ method: "item/completed", params: { ...about, item: over } });
  return { exit_code: exitCode, output: aggregatedOutput };
}

for await (const line of createInterface({ input: process.stdin })) {
  const { id, method, params } = JSON.parse(line);
  if (id === undefined) continue;
  if (method === busyAtFirst && (refusals += 1) <= 6) {
    say({ id, error: { code: -32001, message: "Server overloaded; retry later." } });
    continue;
  }
  try {
    say({ id, result: ANSWERS[method]?.(params) ?? {} });
  } catch (error) {
    say({ id, error: { code: -32600, message: error.message } });
  }
}
