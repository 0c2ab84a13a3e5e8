/** The life of a relayed session, with real processes that behave as agents do, well and badly. */
import { chmod, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { describe, expect, onTestFinished, test } from "vitest";
import type { AgentItem } from "../../contract/agent-item.ts";
import type { FlowResult } from "../../contract/flow-result.ts";
import type { AttemptEnd } from "../../contract/run-record.ts";
import type { Message, StepConversation } from "../../runner-agent/conversation.ts";
import type { AgentLaunch, EarlierThread } from "../../runner-agent/relay/agents/agent.ts";
import { agentOf } from "../../runner-agent/relay/agents/agents.ts";
import type { OutputPolicy } from "../../runner-agent/relay/output-policy.ts";
import { RelayedSession } from "../../runner-agent/relay/session.ts";
import { StreamLog, readStream } from "../../runner-agent/relay/stream-log.ts";
import { DEFAULT_CLOCKS } from "../../runner-agent/steps/clocks.ts";
import { projectPath } from "../../scripts/project.ts";
import { temporaryFolder } from "../support/flow-workspace.ts";
import { processesOfRun } from "../support/run-processes.ts";
import { until } from "../support/until.ts";

const CLOCKS = { ...DEFAULT_CLOCKS, resultGraceMs: 300, killGraceMs: 300 };
const FIXTURE = projectPath("test/fixtures/claude-code/work.jsonl");
const LONG_MS = 60_000;
const SECRET = "s3cr3t-of-the-box";

interface Seen {
  folder: string;
  items: AgentItem[];
  texts: string;
  results: FlowResult[];
  say(text: string): Promise<string>;
  isListening(): boolean;
  session: RelayedSession;
  runId: string;
  ended: Promise<AttemptEnd>;
}

let runs = 0;

/** A session of `claude -p` (a shell script here), or of a program in a terminal. */
async function session(given: {
  script: string;
  args?: string[];
  raw?: boolean;
  /** Of `codex exec`. */
  codex?: boolean;
  earlier?: EarlierThread;
  policy?: Partial<OutputPolicy>;
  /** What stands on the relay's standard input, which is no terminal. */
  piped?: Uint8Array;
}): Promise<Seen> {
  const folder = await temporaryFolder();
  const file = join(folder, given.codex === true ? "codex" : given.raw === true ? "program" : "claude");
  await writeFile(file, `#!/bin/sh\n${given.script}\n`);
  await chmod(file, 0o755);
  const command = [
    file,
    ...(given.args ?? (given.codex === true ? ["exec", "-"] : given.raw === true ? [] : ["-p"])),
  ];
  const agent = agentOf(command);
  const launch: AgentLaunch = await agent.launch(command, {
    prompt: "argv",
    stdin: async () => Promise.resolve("the prompt"),
    isInputPiped: given.piped !== undefined,
    earlierThread: async () => Promise.resolve(given.earlier),
  });
  runs += 1;
  const runId = `run_000000000000${String(process.pid).slice(-3).padStart(3, "0")}0_${runs}`;
  const log = new StreamLog(folder, "full");
  log.write({ type: "codeflow.session", agent: "a", title: "t", workdir: folder, mode: "run" });
  let listener: ((message: Message) => Promise<string>) | undefined;
  const conversation = {
    onMessage: (heard: (message: Message) => Promise<string>) => {
      listener = heard;
    },
  } as unknown as StepConversation;
  const seen = { items: [] as AgentItem[], texts: "", results: [] as FlowResult[] };
  const relayed = new RelayedSession(
    {
      agent,
      name: agent.title(command),
      launch,
      workdir: folder,
      hangMs: LONG_MS,
      policy: { mode: "balanced", safe: false, skipReads: false, ...given.policy },
      log,
      display: { item: () => undefined, text: () => undefined },
      threadKnown: () => undefined,
      ...(given.piped === undefined
        ? {}
        : { localInput: { stream: Readable.from([given.piped]), typed: () => () => undefined } }),
    },
    {
      runId,
      attempt: 1,
      flow: { name: "relay", version: 1, root: folder },
      step: {
        ...{ name: "session", runner: "relay", script: "", pool: "relay", labels: [], priority: 0 },
        ...{ timeoutMs: LONG_MS, silenceMs: LONG_MS, queueMs: LONG_MS },
        retry: { attempts: 1, on: [], backoffMs: 0 },
      },
      event: { id: "e", type: "t", receivedAt: "2026-01-01T00:00:00Z", payload: {} },
      replay: false,
      edgeUrl: "http://edge",
      env: {
        variables: { PATH: process.env["PATH"] ?? "", FIXTURE, MY_TOKEN: SECRET },
        secrets: [{ name: "MY_TOKEN", value: SECRET }],
      },
      conversation,
    },
    {
      output: (stream, text) => {
        if (stream === "agent") seen.items.push(JSON.parse(text) as AgentItem);
        else seen.texts += text;
      },
      result: (result) => seen.results.push(result),
      signalled: () => undefined,
    },
    CLOCKS,
  );
  onTestFinished(() => {
    relayed.cancel("abandoned");
  });
  return Object.assign(seen, {
    folder,
    runId,
    session: relayed,
    ended: relayed.ended,
    isListening: () => listener !== undefined,
    say: async (text: string) => {
      const heard = await until(() => listener);
      return heard({ id: "m1", text, by: "ada" });
    },
  });
}

test("an agent that has finished and does not go is reaped; its result stands before that", async () => {
  const seen = await session({ script: 'cat > /dev/null; cat "$FIXTURE"; setsid sleep 600 & sleep 600' });
  await until(() => seen.results[0]);
  expect(seen.results[0]).toMatchObject({
    status: "changed",
    message: "Changed a and added b; one test fails.",
    artifacts: { costUsd: 0.0421, turns: 5, commands: 2, failedCommands: 1, tools: { read: 1, search: 1 } },
  });
  expect(await seen.ended).toMatchObject({ reason: "reaped", tree: { empty: true } });
  expect(processesOfRun(seen.runId)).toEqual([]);
  expect(seen.items.at(-1)).toMatchObject({
    kind: "summary",
    text: expect.stringContaining("cost: $0.0421") as string,
  });
});

test("the log of a session is what was shown, and can be shown again", async () => {
  const seen = await session({ script: 'cat > /dev/null; cat "$FIXTURE"; echo not json' });
  expect(await seen.ended).toMatchObject({ reason: "exited", exit: { code: 0 } });
  const stream = await readStream(seen.folder);
  expect(stream?.session.agent).toBe("a");
  expect(stream?.steps.flatMap((step) => ("item" in step ? [step.item] : []))).toEqual(seen.items);
  expect(seen.texts).toBe("not json\n");
});

test("an agent that dies without its last event has no result", async () => {
  const seen = await session({ script: 'cat > /dev/null; head -3 "$FIXTURE"; exit 4' });
  expect(await seen.ended).toMatchObject({ reason: "exited", exit: { code: 4 } });
  expect(seen.results).toEqual([]);
  expect(seen.items.at(-1)).toMatchObject({ kind: "summary" });
});

test("what is said to an agent that hears is answered before its session ends", async () => {
  const script =
    'read -r first; head -1 "$FIXTURE"; read -r second; tail -1 "$FIXTURE"; echo "$second" > heard; tail -1 "$FIXTURE"';
  const seen = await session({ script, args: ["-p", "--input-format", "stream-json"] });
  expect(await seen.say("look at the tests")).toBe("steered");
  expect(await seen.ended).toMatchObject({ reason: "exited" });
  expect(await readFile(join(seen.folder, "heard"), "utf8")).toContain('"look at the tests"');
  expect(seen.texts).toBe("ada: look at the tests\n");
  expect(seen.results.length).toBeGreaterThan(0);
});

test("a secret in any field of an agent's events is gone, also where it stands in JSON", async () => {
  const script = `cat > /dev/null
printf '{"type":"assistant","message":{"id":"m","content":[{"type":"text","text":"it is %s"}]}}\\n' "$MY_TOKEN"
printf '%s' "$MY_TOKEN" | cut -c1-5 | tr -d '\\n' >&2; sleep 0.2; printf '%s\\n' "$MY_TOKEN" | cut -c6- >&2`;
  const seen = await session({ script });
  await seen.ended;
  expect(seen.items[0]).toMatchObject({ text: "it is ***" });
  expect(seen.texts).toBe("***\n");
  expect(await readFile(join(seen.folder, "stream.jsonl"), "utf8")).not.toContain(SECRET.slice(0, 5));
});

test("in safe mode what a program prints is counted, and not shown", async () => {
  const seen = await session({ script: "echo hello", args: [], raw: true, policy: { safe: true } });
  expect(await seen.ended).toMatchObject({ reason: "exited", exit: { code: 0 } });
  expect(seen.texts).toBe("Output hidden (safe mode): 6 characters\n");
  expect(seen.results).toMatchObject([{ status: "completed" }]);
});

test("a session that is canceled before it has begun leaves nothing", async () => {
  const seen = await session({ script: "sleep 600", args: [], raw: true });
  seen.session.cancel("canceled");
  expect(await seen.ended).toMatchObject({ reason: "canceled", tree: { empty: true } });
  expect(seen.results).toEqual([]);
});

describe("the end of a program's output", () => {
  const LINES = 60_000;
  const WHOLE = `${Array.from({ length: LINES }, (_unused, index) => index + 1).join("\n")}\nTHE-END\n`;
  const script = `seq 1 ${LINES}; echo THE-END`;

  test("is not lost when a program in a terminal ends right after it has written", async () => {
    for (let round = 0; round < 5; round += 1) {
      const seen = await session({ script, raw: true });
      expect(await seen.ended).toMatchObject({ reason: "exited", exit: { code: 0 }, tree: { empty: true } });
      expect(seen.texts === WHOLE, `round ${round}: ${seen.texts.length} of ${WHOLE.length}`).toBe(true);
    }
  });

  test("is not lost when reading is paused while a program in a terminal ends", async () => {
    const seen = await session({ script: "seq 1 1800; echo THE-END; exit 3", raw: true });
    seen.session.pause();
    expect(await seen.ended).toMatchObject({ reason: "exited", exit: { code: 3 } });
    expect(seen.texts).toBe(
      `${Array.from({ length: 1_800 }, (_unused, index) => index + 1).join("\n")}\nTHE-END\n`,
    );
  });

  test("is not lost when a program over pipes ends right after it has written", async () => {
    const seen = await session({ script, raw: true, piped: Buffer.alloc(0) });
    expect(await seen.ended).toMatchObject({ reason: "exited", exit: { code: 0 } });
    expect(seen.texts === WHOLE, `${seen.texts.length} of ${WHOLE.length}`).toBe(true);
  });

  test("stays whole in the log", async () => {
    const seen = await session({ script, raw: true });
    await seen.ended;
    const stream = await readStream(seen.folder);
    const texts = stream?.steps.flatMap((step) => ("text" in step ? [step.text] : [])).join("");
    expect(texts === WHOLE).toBe(true);
  });
});

describe("how a program in a terminal ended", () => {
  test.each([
    ["exit 7", { code: 7, signal: null }, "exit_code", "program failed (exit code 7)"],
    ["kill -SEGV $$", { code: null, signal: "SIGSEGV" }, "killed", "program was killed by SIGSEGV"],
    ["kill -TERM $$", { code: null, signal: "SIGTERM" }, "killed", "program was killed by SIGTERM"],
  ])("%s is told with the program's name", async (script, exit, code, message) => {
    const seen = await session({ script: `echo hi; ${script}`, raw: true });
    expect(await seen.ended).toMatchObject({ reason: "exited", exit, error: { code, message } });
    expect(seen.texts).toBe("hi\n");
  });
});

test("what a program leaves running is stopped at its end, and named", async () => {
  const seen = await session({
    script: "setsid sh -c 'touch up; sleep 601' & until [ -e up ]; do sleep 0.02; done; echo done",
    raw: true,
  });
  expect(await seen.ended).toMatchObject({ reason: "exited", exit: { code: 0 }, tree: { empty: true } });
  expect(seen.texts).toMatch(/^done\nStopped what program left running: \w+ \(\d+\)(, \w+ \(\d+\))*\n$/);
  expect(processesOfRun(seen.runId)).toEqual([]);
});

describe("input that is no terminal", () => {
  test("arrives byte for byte, and ends", async () => {
    const bytes = Uint8Array.from({ length: 200_000 }, (_unused, index) => (index * 7) % 256);
    const seen = await session({ script: "cat > got; wc -c < got", raw: true, piped: bytes });
    expect(await seen.ended).toMatchObject({ reason: "exited", exit: { code: 0 } });
    expect(seen.texts.trim()).toBe("200000");
    expect(Buffer.compare(await readFile(join(seen.folder, "got")), bytes)).toBe(0);
  });

  test("is not answered into by people", async () => {
    const seen = await session({ script: "cat > got", raw: true, piped: Buffer.from("abc") });
    await seen.ended;
    expect(seen.isListening()).toBe(false);
  });

  test("may be left unread", async () => {
    const seen = await session({ script: "exit 5", raw: true, piped: Buffer.alloc(1_000_000) });
    expect(await seen.ended).toMatchObject({ reason: "exited", exit: { code: 5 } });
  });
});

test("an answer that the terminal hides is neither shown nor logged, and the program gets it", async () => {
  const script = 'stty -echo; printf "Password: "; read -r x; stty echo; echo; echo "${#x} characters"';
  const seen = await session({ script, raw: true });
  await until(() => (seen.texts.includes("Password: ") ? true : undefined));
  expect(await seen.say("geheim")).toBe("hidden");
  expect(await seen.ended).toMatchObject({ exit: { code: 0 } });
  expect(seen.texts).toContain("ada answered (hidden)\n");
  expect(seen.texts).toContain("6 characters\n");
  expect(seen.texts).not.toContain("geheim");
  expect(await readFile(join(seen.folder, "stream.jsonl"), "utf8")).not.toContain("geheim");
});

test("an answer that the terminal echoes is shown with its author", async () => {
  const seen = await session({ script: 'printf "go on? "; read -r x; echo "you said $x"', raw: true });
  await until(() => (seen.texts.includes("go on? ") ? true : undefined));
  expect(await seen.say("yes")).toBe("steered");
  await seen.ended;
  expect(seen.texts).toContain("ada: yes\n");
  expect(seen.texts).toContain("you said yes\n");
});

test("in safe mode the standard error of an agent and its lines that are no JSON are not shown", async () => {
  const script = 'cat > /dev/null; echo "PRIVATE ONE" >&2; echo "PRIVATE TWO"; tail -1 "$FIXTURE"';
  const seen = await session({ script, policy: { safe: true } });
  await seen.ended;
  expect(seen.texts).toBe("Output hidden (safe mode): 24 characters\n");
  expect(await readFile(join(seen.folder, "stream.jsonl"), "utf8")).not.toContain("PRIVATE");
});

describe("an agent that says why it failed", () => {
  const RESULT = {
    ...{ type: "result", subtype: "success", is_error: true, num_turns: 1, session_id: "s" },
    result: "Invalid API key · Please run /login",
  };

  test("has that reason as its end, also when its exit code is not 0", async () => {
    const seen = await session({ script: `cat > /dev/null; echo '${JSON.stringify(RESULT)}'; exit 1` });
    expect(await seen.ended).toMatchObject({
      exit: { code: 1 },
      error: { message: "Claude Code failed: Invalid API key · Please run /login" },
    });
  });

  test("has it in its result when its exit code is 0", async () => {
    const seen = await session({ script: `cat > /dev/null; echo '${JSON.stringify(RESULT)}'` });
    await seen.ended;
    expect(seen.results.at(-1)).toMatchObject({
      status: "failed",
      message: "Claude Code failed: Invalid API key · Please run /login",
    });
  });

  test("has a sentence for an end without words", async () => {
    const result = { type: "result", subtype: "error_max_turns", is_error: true, num_turns: 3 };
    const seen = await session({ script: `cat > /dev/null; echo '${JSON.stringify(result)}'; exit 1` });
    expect(await seen.ended).toMatchObject({
      error: { message: "Claude Code failed: it reached its maximum number of turns (--max-turns)" },
    });
  });
});

describe("codex exec that does not get its earlier session", () => {
  const EVENTS = [
    { type: "thread.started", thread_id: "new" },
    { type: "turn.started" },
    { type: "item.completed", item: { id: "i", type: "agent_message", text: "done" } },
    { type: "turn.completed", usage: { input_tokens: 1, output_tokens: 1 } },
  ];
  const script = (why: string): string => `cat > prompt
case "$*" in *" resume "*) echo "Error: thread/resume: thread/resume failed: ${why} (code -32600)" >&2; echo "   0: <unknown>" >&2; exit 1;; esac
${EVENTS.map((event) => `echo '${JSON.stringify(event)}'`).join("\n")}`;

  test.each([
    [
      "thread t1 already has an active writer",
      "Codex: another Codex works in the earlier session t1; a new session begins\n",
    ],
    ["no rollout found for thread id t1", "Codex: the earlier session t1 is gone; a new session begins\n"],
  ])("begins a new one and says so: %s", async (why, text) => {
    const seen = await session({ script: script(why), codex: true, earlier: { thread: "t1" } });
    expect(await seen.ended).toMatchObject({ reason: "exited", exit: { code: 0 } });
    expect(seen.texts).toBe(text);
    expect(seen.results.at(-1)).toMatchObject({
      status: "completed",
      message: "done",
      artifacts: { threadId: "new" },
    });
    expect(await readFile(join(seen.folder, "prompt"), "utf8")).toBe("the prompt");
  });

  test("fails and says why where the earlier one is required", async () => {
    const earlier = { thread: "t1", isRequired: true };
    const seen = await session({ script: script("no rollout found for thread id t1"), codex: true, earlier });
    expect(await seen.ended).toMatchObject({
      exit: { code: 1 },
      error: { message: "Codex failed: the earlier session t1 is gone" },
    });
    expect(seen.texts).toContain("thread/resume failed");
  });

  test("is not started again for any other failure", async () => {
    const seen = await session({
      script: "cat > /dev/null; echo again >> starts; echo no login >&2; exit 1",
      codex: true,
      earlier: { thread: "t1" },
    });
    expect(await seen.ended).toMatchObject({ error: { message: "Codex failed (exit code 1)" } });
    expect(await readFile(join(seen.folder, "starts"), "utf8")).toBe("again\n");
    expect(seen.texts).toBe("no login\n");
  });
});
