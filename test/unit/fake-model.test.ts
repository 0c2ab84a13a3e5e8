/** What the fake model can say to the real Codex, beyond the recorded turns: so that tests built on it can trust it. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { expect, test } from "vitest";
import { projectPath } from "../../scripts/project.ts";
import { findCodex } from "../../runner-agent/codex/codex-program.ts";
import { codexEnvironment, folder, liveThread } from "../support/codex.ts";
import {
  askUser,
  codeMode,
  command,
  httpError,
  inPieces,
  message,
  slow,
  structured,
  withUsage,
} from "../support/fake-model/answers.ts";
import { CODE_MODE_MODEL } from "../support/fake-model/codex-home.ts";

test("a structured answer, and the schema that was asked for", async () => {
  const live = await liveThread([{ answers: [structured({ status: "completed" })] }]);
  const outputSchema = { type: "object", properties: { status: { type: "string" } }, required: ["status"] };
  await live.turn("go", { outputSchema });
  const { turn } = (await live.tells("turn/completed")).params;
  expect(turn.items).toEqual([expect.objectContaining({ text: '{"status":"completed"}' })]);
  expect(live.model.requests[0]?.text?.format).toMatchObject({ type: "json_schema", schema: outputSchema });
});

test("a question to the user, and the model hears the answer", async () => {
  const question = {
    id: "colour",
    header: "Colour",
    question: "Which one?",
    options: [
      { label: "red", description: "warm" },
      { label: "blue", description: "cold" },
    ],
  };
  const live = await liveThread(
    [{ answers: [askUser(question), message("thanks")] }],
    {},
    {
      features: { default_mode_request_user_input: true, plugins: false, apps: false, shell_snapshot: false },
    },
  );
  live.server.onServerRequest("item/tool/requestUserInput", async ({ questions }) => {
    expect(questions.map(({ id }) => id)).toEqual(["colour"]);
    return { answers: { colour: { answers: ["blue"] } } };
  });
  await live.turn("go");
  expect((await live.tells("turn/completed")).params.turn.status).toBe("completed");
  expect(JSON.stringify(live.model.requests[1]?.input)).toContain("blue");
});

test("a script of code mode, whose output the model hears", async () => {
  const script = "text((await tools.exec_command({ cmd: 'echo from $((40 + 2))' })).output)";
  const live = await liveThread([{ answers: [codeMode(script), message("ran")] }], {
    model: CODE_MODE_MODEL,
  });
  await live.turn("go");
  await live.tells("turn/completed");
  expect(JSON.stringify(live.model.requests[1]?.input)).toContain("from 42");
});

test("usage is what the script says", async () => {
  const usage = { input: 1_000, cached: 900, output: 50, reasoning: 7 };
  const live = await liveThread([{ answers: [withUsage(message("hi"), usage)] }]);
  await live.turn("go");
  const { last } = (await live.tells("thread/tokenUsage/updated")).params.tokenUsage;
  expect(last).toMatchObject({
    inputTokens: 1_000,
    cachedInputTokens: 900,
    outputTokens: 50,
    totalTokens: 1_050,
  });
});

test("503 is tried again, and a slow stream is waited for", async () => {
  const live = await liveThread([{ answers: [httpError(503), slow(inPieces(message("at last")), 5)] }]);
  await live.turn("go");
  const { turn } = (await live.tells("turn/completed")).params;
  expect([turn.status, live.model.requests.length]).toEqual(["completed", 2]);
});

test("429 is not tried again, whatever its type: the turn fails at once", async () => {
  const live = await liveThread([{ answers: [httpError(429), message("never")] }]);
  await live.turn("go");
  const { turn } = (await live.tells("turn/completed")).params;
  expect(turn.error?.codexErrorInfo).toEqual({ responseTooManyFailedAttempts: { httpStatusCode: 429 } });
  expect(live.model.requests).toHaveLength(1);
});

test("each message of the user chooses its rule; a script that has run out fails the turn and says so", async () => {
  const live = await liveThread([
    { prompt: "first", answers: [command("true"), message("one")] },
    { prompt: "second", answers: [] },
    { answers: [message("anything")] },
  ]);
  const said: string[] = [];
  for (const text of ["the first", "a second", "a third", "the first again"]) {
    const turnId = await live.turn(text);
    const { turn } = (await live.tells("turn/completed", ({ params }) => params.turn.id === turnId)).params;
    const [last] = turn.items;
    said.push(last?.type === "agentMessage" ? last.text : (turn.error?.message ?? ""));
  }
  expect(said).toEqual(["one", expect.stringContaining("run_out"), "anything", "one"]);
});

test("as a program it prints a home that Codex works with", async () => {
  const home = folder("fake-model-program");
  const script = join(home, "script.json");
  writeFileSync(script, JSON.stringify([{ answers: [message("from the program")] }]));
  const program = execa(process.execPath, [projectPath("test/support/fake-model/main.ts"), script], {
    reject: false,
  });
  try {
    for await (const line of program) {
      const announced = JSON.parse(line) as { home: string };
      const { file, args } = findCodex();
      const { stdout } = await execa(file, [...args, "exec", "--skip-git-repo-check", "go"], {
        cwd: home,
        env: codexEnvironment(announced.home),
        extendEnv: false,
        stdin: "ignore",
      });
      expect(stdout).toContain("from the program");
      program.kill();
    }
  } finally {
    program.kill();
    await program;
  }
});
