/**
 * Records what the real Codex tells of a turn, into test/fixtures/codex/: `node test/support/record-codex-turns.ts
 * [name …]`. To be run again when `@openai/codex` is updated; the differences show what has changed in its protocol.
 * Paths of this machine are replaced; ids and times stay as they came.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type AppServer, startAppServer } from "../../runner-agent/codex/app-server.ts";
import type { ServerNotification } from "../../runner-agent/codex/protocol.ts";
import { projectPath } from "../../scripts/project.ts";
import {
  type Answer,
  codeMode,
  command,
  cut,
  failed,
  httpError,
  inPieces,
  message,
  patch,
  reasoning,
  together,
  toolCall,
  withUsage,
} from "./fake-model/answers.ts";
import { CODE_MODE_MODEL, writeCodexHome } from "./fake-model/codex-home.ts";
import { FakeModel } from "./fake-model/fake-model.ts";

interface Scene {
  answers: Answer[];
  files?: Record<string, string>;
  thread?: Record<string, unknown>;
  config?: Record<string, unknown>;
  /** Answers the approvals that are asked for. */
  decision?: "accept" | "decline";
  /** Interrupts the turn as soon as a command runs. */
  interrupt?: boolean;
}

const OTHER_USAGE = { input: 310, cached: 200, output: 33, reasoning: 9 };

const SCENES: Record<string, Scene> = {
  message: {
    answers: [
      together(
        inPieces(reasoning("The user wants a greeting, and a short one.")),
        inPieces(message("Hello from the fake model, in many small pieces.")),
      ),
    ],
  },
  commands: {
    answers: [
      command("for i in 1 2 3 4; do echo line $i; sleep 0.3; done"),
      together(command("echo nothing here >&2; exit 3"), command("seq 1 5000")),
      withUsage(message("done"), OTHER_USAGE),
    ],
  },
  patch: {
    files: { "keep.txt": "one\ntwo\nthree\n", "old.txt": "old\n", "gone.txt": "a\nb\n" },
    answers: [
      patch(
        "*** Add File: new.txt",
        "+first",
        "+second",
        "*** Update File: keep.txt",
        "@@",
        " one",
        "-two",
        "+2",
        "+2.5",
        " three",
        "*** Update File: old.txt",
        "*** Move to: moved.txt",
        "@@",
        "-old",
        "+moved",
        "*** Delete File: gone.txt",
      ),
      patch("*** Update File: missing.txt", "@@", "-x", "+y"),
      message("patched"),
    ],
  },
  plan: {
    config: { tools: { update_plan: { enabled: true } } },
    answers: [
      toolCall("update_plan", {
        explanation: "two steps",
        plan: [
          { step: "look", status: "in_progress" },
          { step: "act", status: "pending" },
        ],
      }),
      toolCall("update_plan", {
        plan: [
          { step: "look", status: "completed" },
          { step: "act", status: "in_progress" },
        ],
      }),
      message("planned"),
    ],
  },
  declined: {
    thread: { approvalPolicy: "untrusted" },
    decision: "decline",
    answers: [command("touch made"), patch("*** Add File: a.txt", "+a"), message("not allowed")],
  },
  "code-mode": {
    thread: { model: CODE_MODE_MODEL },
    answers: [
      codeMode(
        "const [a, b] = await Promise.all(['echo one', 'echo two'].map((cmd) => tools.exec_command({ cmd })));\n" +
          "text(JSON.stringify([a, b]));",
      ),
      message("ran"),
    ],
  },
  "dynamic-tool": {
    thread: {
      dynamicTools: [
        {
          type: "function",
          name: "report_status",
          description: "Says how far it is",
          inputSchema: { type: "object", properties: { percent: { type: "number" } } },
        },
      ],
    },
    answers: [toolCall("report_status", { percent: 50 }), message("reported")],
  },
  retried: {
    answers: [httpError(500), cut(inPieces(message("half"))), message("whole")],
  },
  failed: { answers: [failed("context_length_exceeded", "too long")] },
  limited: { answers: [httpError(429, "usage_limit_reached")] },
  interrupted: {
    answers: [command("while true; do echo tick; sleep 0.1; done"), message("never")],
    interrupt: true,
  },
};

async function record(name: string, scene: Scene): Promise<void> {
  const model = await FakeModel.start([{ answers: scene.answers }]);
  const home = writeCodexHome(model.url, scene.config);
  const cwd = mkdtempSync("/var/tmp/recorded-checkout-");
  const temporary = join(home, "tmp-of-steps");
  mkdirSync(temporary);
  execFileSync("git", ["init", "-q"], { cwd });
  for (const [path, text] of Object.entries(scene.files ?? {})) writeFileSync(join(cwd, path), text);
  const env = { PATH: process.env["PATH"] ?? "", HOME: home, CODEX_HOME: home, TMPDIR: temporary };
  const server = await startAppServer({ cwd, env, version: "0.0.0" });
  try {
    const told = await turn(server, scene, cwd);
    const text = told.map((notification) => `${JSON.stringify(notification)}\n`).join("");
    const clean = text
      .replaceAll(cwd, "/workspace/checkout")
      .replaceAll(home, "/home/runner/.codex")
      .replaceAll(model.url, "http://127.0.0.1:43010/v1");
    const folder = projectPath("test/fixtures/codex");
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, `${name}.jsonl`), clean);
    console.log(`${name}: ${told.length} notifications`);
  } finally {
    await server.stop();
    await model.stop();
    for (const path of [home, cwd]) rmSync(path, { recursive: true, force: true });
  }
}

async function turn(server: AppServer, scene: Scene, cwd: string): Promise<ServerNotification[]> {
  const told: ServerNotification[] = [];
  const completed = Promise.withResolvers<void>();
  server.onNotification((notification) => {
    // Of the box, not of the turn.
    if (!/^(account|configWarning|remoteControl)/.test(notification.method)) told.push(notification);
    if (notification.method === "turn/completed") completed.resolve();
    if (notification.method !== "item/commandExecution/outputDelta" || scene.interrupt !== true) return;
    const { threadId, turnId } = notification.params;
    void server.request("turn/interrupt", { threadId, turnId });
  });
  const { thread } = await server.request("thread/start", {
    cwd,
    sandbox: "workspace-write",
    approvalPolicy: "never",
    ...scene.thread,
  });
  const decision = scene.decision ?? "accept";
  server.onServerRequest("item/commandExecution/requestApproval", () => Promise.resolve({ decision }));
  server.onServerRequest("item/fileChange/requestApproval", () => Promise.resolve({ decision }));
  server.onServerRequest("item/tool/call", () =>
    Promise.resolve({ success: true, contentItems: [{ type: "inputText", text: "noted" }] }),
  );
  const input = [{ type: "text" as const, text: "go", text_elements: [] }];
  await server.request("turn/start", { threadId: thread.id, input });
  await completed.promise;
  return told;
}

const wanted = process.argv.slice(2);
for (const [name, scene] of Object.entries(SCENES))
  if (wanted.length === 0 || wanted.includes(name)) await record(name, scene);
