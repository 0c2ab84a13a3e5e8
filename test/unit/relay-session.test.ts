/** The life of a relayed session, with real processes that behave as agents do, well and badly. */
import { chmod, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import type { AgentItem } from "../../contract/agent-item.ts";
import type { FlowResult } from "../../contract/flow-result.ts";
import type { AttemptEnd } from "../../contract/run-record.ts";
import type { Message, StepConversation } from "../../runner-agent/conversation.ts";
import type { AgentLaunch } from "../../runner-agent/relay/agents/agent.ts";
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
  policy?: Partial<OutputPolicy>;
}): Promise<Seen> {
  const folder = await temporaryFolder();
  const file = join(folder, given.raw === true ? "program" : "claude");
  await writeFile(file, `#!/bin/sh\n${given.script}\n`);
  await chmod(file, 0o755);
  const command = [file, ...(given.args ?? ["-p"])];
  const agent = agentOf(command);
  const launch: AgentLaunch = await agent.launch(command, {
    prompt: "argv",
    stdin: async () => Promise.resolve("the prompt"),
    earlierThread: async () => Promise.resolve(undefined),
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
      launch,
      workdir: folder,
      hangMs: LONG_MS,
      policy: { mode: "balanced", safe: false, skipReads: false, ...given.policy },
      log,
      display: { item: () => undefined, text: () => undefined },
      threadKnown: () => undefined,
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
  expect(seen.texts).toBe("6 characters of output are left out here\n");
  expect(seen.results).toMatchObject([{ status: "completed" }]);
});

test("a session that is canceled before it has begun leaves nothing", async () => {
  const seen = await session({ script: "sleep 600", args: [], raw: true });
  seen.session.cancel("canceled");
  expect(await seen.ended).toMatchObject({ reason: "canceled", tree: { empty: true } });
  expect(seen.results).toEqual([]);
});
