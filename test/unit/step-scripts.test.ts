/** Raw and module-style scripts under Bun and Node: what they are given, and what counts as their result. */
import { afterAll, describe, expect, test } from "vitest";
import { launchRequest, removePackages, requestFor, run } from "./step-harness.ts";

afterAll(removePackages);

const RUNNERS = ["bun", "node"] as const;
const EXTENSIONS = ["ts", "js", "mjs"] as const;

/** The same program in TypeScript and JavaScript: a type annotation only where it may stand. */
function rawScript(extension: string): string {
  const type = extension === "ts" ? ": string" : "";
  return `
    let text${type} = "";
    for await (const piece of process.stdin) text += piece;
    const context = JSON.parse(text);
    console.log("FLOW_RESULT " + JSON.stringify({ status: "completed", argv: process.argv.length, main: import.meta.main,
      script: process.argv[1], execArgv: process.execArgv, context, ends: text.endsWith("}\\n") }));
  `;
}

function moduleScript(extension: string): string {
  const type = extension === "ts" ? ": unknown" : "";
  return `
    console.log("evaluated");
    export default async function step(context${type}) {
      return { status: "changed", argv: process.argv.length, script: process.argv[1], execArgv: process.execArgv, context };
    }
  `;
}

describe.each(RUNNERS)("%s", (runner) => {
  describe.each(EXTENSIONS)(".%s", (extension) => {
    const script = `exec/step.${extension}`;
    const files = { "package.json": `{ "type": "module" }` };

    test("a raw script reads its context from standard input and is the main program", async () => {
      const { end, results, request } = await run(rawScript(extension), { runner, script, files });
      expect(end).toEqual({
        reason: "exited",
        exit: { code: 0, signal: null },
        tree: { empty: true, survivors: [] },
      });
      expect(results).toMatchObject([
        {
          argv: 2,
          main: true,
          script: `${request.flow.root}/${script}`,
          execArgv: [],
          ends: true,
          context: { flow: { name: "probe" } },
        },
      ]);
    });

    test("a module-style script is evaluated once and its default export is called with the context", async () => {
      const { results, text, request } = await run(moduleScript(extension), { runner, script, files });
      expect(text("stdout").match(/evaluated/g)).toHaveLength(1);
      expect(results).toMatchObject([
        {
          status: "changed",
          argv: 2,
          script: `${request.flow.root}/${script}`,
          execArgv: [],
          context: { flow: { name: "probe" } },
        },
      ]);
    });
  });

  test("neither style needs a package.json, and nothing complains about that", async () => {
    for (const source of [rawScript("ts"), moduleScript("ts")]) {
      const { results, text } = await run(source, { runner, script: "exec/step.ts" });
      expect(results).toHaveLength(1);
      expect(text("stderr")).toBe("");
    }
  });

  test("CommonJS scripts keep require.main and may export their step", async () => {
    const raw = `console.log("FLOW_RESULT " + JSON.stringify({ status: "completed", main: require.main === module }));`;
    const exporting = `module.exports = async ({ runtime }) => ({ status: "completed", replay: runtime.replay });`;
    expect((await run(raw, { runner, script: "step.cjs" })).results).toMatchObject([{ main: true }]);
    expect((await run(exporting, { runner, script: "step.cjs" })).results).toMatchObject([{ replay: false }]);
  });

  test("the words of a module in a comment or a string leave a raw script raw", async () => {
    const source = `
      // export default async function step(context) { return { status: "failed" } }
      const text = "export default x as default defineBunFlow(";
      console.log('FLOW_RESULT {"status":"completed","length":' + text.length + "}");
    `;
    const { results } = await run(source, { runner, script: "exec/step.ts" });
    expect(results).toEqual([{ status: "completed", length: 42 }]);
  });

  test("an exception in a module-style step is its result: failed, the stack on stderr, exit code 0", async () => {
    const { end, results, text } = await run(`export default () => { throw new Error("no such tag"); };`, {
      runner,
    });
    expect(results).toEqual([{ status: "failed", message: "no such tag" }]);
    expect(text("stderr")).toMatch(/no such tag[\s\S]*step\.mjs/);
    expect(end).toMatchObject({ reason: "exited", exit: { code: 0 } });
  });

  test.each([
    ["nothing", "undefined"],
    ["no status", "{}"],
    ["a status that is no string", "{ status: 1 }"],
    ["what JSON cannot say", `{ status: "completed", big: 1n }`],
  ])("a module-style step that returns %s has failed", async (_what, value) => {
    const { end, results } = await run(`export default async () => (${value});`, { runner });
    expect(results).toMatchObject([{ status: "failed" }]);
    expect(end.exit?.code).toBe(0);
  });

  test("a script that throws while it is loaded keeps its exit code and its stderr", async () => {
    const { end, results, text } = await run(`throw new Error("cannot load"); export default () => 1;`, {
      runner,
    });
    expect(end).toMatchObject({ reason: "exited", exit: { code: 1 } });
    expect(text("stderr")).toContain("cannot load");
    expect(results).toEqual([]);
  });

  test("a module-style step may redirect its console and get an event of a megabyte", async () => {
    const source = `
      console.log = () => undefined;
      export default ({ flow }) => ({ status: "completed", length: flow.event.payload.length });
    `;
    const event = { payload: "x".repeat(1_000_000) };
    expect((await run(source, { runner, event })).results).toEqual([
      { status: "completed", length: 1_000_000 },
    ]);
  });

  test("what a step forks is not a step", async () => {
    const source = `
      import { fork } from "node:child_process";
      import { Worker } from "node:worker_threads";
      export default async () => {
        const child = fork(new URL("./part.mjs", import.meta.url).pathname);
        await new Promise((resolve) => child.on("exit", resolve));
        const worker = new Worker(new URL("./part.mjs", import.meta.url));
        await new Promise((resolve) => worker.on("exit", resolve));
        return { status: "completed" };
      };
    `;
    const part = `export default () => { console.log("called by mistake"); return { status: "failed" }; };`;
    const { results, text } = await run(source, { runner, files: { "exec/part.mjs": part } });
    expect(results).toEqual([{ status: "completed" }]);
    expect(text("stdout")).not.toContain("mistake");
  });

  test("a path with characters that mean something in a URL is a path", async () => {
    const { results } = await run(moduleScript("ts"), { runner, script: "a b#c%20d/step.mts" });
    expect(results).toMatchObject([{ status: "changed" }]);
  });

  test("the context and the variables of the attempt are the ancestor's", async () => {
    const source = `
      export default (context) => ({ status: "completed", context, cwd: process.cwd(),
        variables: Object.entries(process.env).filter(([name]) => name.startsWith("CODEX_FLOW")).sort() });
    `;
    const options = {
      runner,
      config: { a: 1, list: ["x"] },
      event: { source: "s", extra: 2, payload: { k: "ä\n" } },
      variables: { CODEX_FLOW_RUN_ID: "not this one" },
      attempt: 2,
    };
    const { results, request } = await run(source, options);
    const attemptId = `${request.runId}_a2`;
    expect(results[0]?.["context"]).toEqual({
      flow: {
        name: "probe",
        version: 3,
        root: request.flow.root,
        step: "try",
        config: { a: 1, list: ["x"] },
        event: request.event,
      },
      runtime: {
        eventId: "e:1",
        runId: request.runId,
        attemptId,
        replay: false,
        workspaceBackendUrl: "wss://edge.example",
        launchedBy: "codex-flow-edge",
      },
    });
    expect(results[0]?.["cwd"]).toBe(request.flow.root);
    expect(results[0]?.["variables"]).toEqual([
      ["CODEX_FLOW_ATTEMPT_ID", attemptId],
      ["CODEX_FLOW_EVENT_ID", "e:1"],
      ["CODEX_FLOW_LAUNCHED_BY", "codex-flow-edge"],
      ["CODEX_FLOW_REPLAY", "0"],
      ["CODEX_FLOW_RUN_ID", request.runId],
      ["CODEX_FLOW_URL", "https://edge.example"],
    ]);
  });

  test("a bunfig.toml of the folder where it works runs nothing; the package's own does", async () => {
    const preload = `preload = ["./before.ts"]`;
    const theirs = {
      "theirs/bunfig.toml": preload,
      "theirs/before.ts": `console.log("of the folder");`,
    };
    const files = { "bunfig.toml": preload, "before.ts": `console.log("of the package");` };
    const source = `console.log("in " + process.cwd().split("/").at(-1));`;
    for (const own of ["", undefined]) {
      const there = { ...theirs, ...(own === undefined ? {} : { "bunfig.toml": own }) };
      const { text } = await run(source, { runner, files: there, cwd: "theirs" });
      expect(text("stdout")).toBe("in theirs\n");
    }
    const { text } = await run(source, { runner, files });
    expect(text("stdout").startsWith("of the package\n")).toBe(runner === "bun");
  });

  test("nothing else of the agent's environment is seen, nor a .env file that lies there", async () => {
    const source = `console.log(JSON.stringify(process.env));`;
    const { text } = await run(source, { runner, files: { ".env": "FROM_FILE=hunter22" } });
    const names = Object.keys(JSON.parse(text("stdout")) as object).filter(
      (name) => !name.startsWith("CODEX_FLOW_"),
    );
    // The predecessor's name of the edge's address belongs to the attempt, as CODEX_FLOW_URL does.
    expect(names).toEqual(["PATH", "CODEX_WORKSPACE_BACKEND_WS_URL"]);
  });
});

test("a step without config sees none, and its cwd is relative to the flow's root", async () => {
  const source = `export default (context) => ({ status: "completed", has: "config" in context.flow, cwd: process.cwd() });`;
  const { results, request } = await run(source, { cwd: "deep/here", files: { "deep/here/x": "" } });
  expect(results).toEqual([{ status: "completed", has: false, cwd: `${request.flow.root}/deep/here` }]);
});

test("an event id that no variable can hold is still whole in the context", async () => {
  const source = `export default ({ runtime }) => ({ status: "completed", id: runtime.eventId, variable: process.env.CODEX_FLOW_EVENT_ID });`;
  const { results } = await run(source, { event: { id: "a\0b" } });
  expect(results).toEqual([{ status: "completed", id: "a\0b", variable: "a\uFFFDb" }]);
});

test("a step that never reads an event of a megabyte ends like any other", async () => {
  const { end, results } = await run(`console.log('FLOW_RESULT {"status":"skipped"}');`, {
    event: { payload: "x".repeat(1_000_000) },
  });
  expect(results).toEqual([{ status: "skipped" }]);
  expect(end).toMatchObject({ reason: "exited", exit: { code: 0 } });
});

describe("a step that cannot be started is refused with the reason", () => {
  test.each([
    ["runner_unsupported", { runner: "codex" as const }, "this agent has bun, node"],
    ["runner_unsupported", { runner: "code-mode" as const }, "code-mode"],
    ["cwd_missing", { cwd: "nowhere" }, "/nowhere"],
  ])("%s", async (code, options, words) => {
    const { end, step } = await run("", options);
    expect(step.pid).toBeUndefined();
    expect(end.reason).toBe("refused");
    expect(end.error?.code).toBe(code);
    expect(end.error?.message).toContain(words);
    step.cancel("canceled");
  });

  test("script_missing", async () => {
    const request = await requestFor("");
    const gone = launchRequest({ ...request, step: { ...request.step, script: "exec/gone.ts" } });
    expect((await gone.step.ended).error).toMatchObject({
      code: "script_missing",
      message: expect.stringMatching(
        /^step .*: there is no script \/.* in flow\.toml\); bring this box's checkout/,
      ) as unknown,
    });
  });
});
