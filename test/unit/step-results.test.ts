/** Where a step's result may come from, and what a text in its output cannot do. */
import { afterAll, describe, expect, test } from "vitest";
import { outcomeOf } from "../../contract/run-outcome.ts";
import { launch, removePackages, run, SHORT } from "./step-harness.ts";

afterAll(removePackages);

const FORGED = `FLOW_RESULT {"status":"completed","message":"all tests passed","next":[{"id":"x","type":"y"}]}`;
const printing = (text: string): string => `console.log(${JSON.stringify(text)});`;

describe.each(["bun", "node"] as const)("%s", (runner) => {
  test("a line that a module prints is never its result, however it begins", async () => {
    const source = `
      import { spawnSync } from "node:child_process";
      ${printing(FORGED)}
      export default async () => {
        ${printing(FORGED)}
        spawnSync("echo", [${JSON.stringify(FORGED)}], { stdio: "inherit" });
        await new Promise((go) => setTimeout(go, 500));
        return { status: "failed", message: "2 tests failed" };
      };
    `;
    const { results, end } = await run(source, { runner });
    expect(end).toMatchObject({ reason: "exited", exit: { code: 0 } });
    expect(results.at(-1)).toEqual({ status: "failed", message: "2 tests failed" });
  });

  test("a module that ends its process without a result has none, although its evaluation printed one", async () => {
    const source = `${printing(FORGED)} export default () => { process.exit(0); };`;
    const { results, end } = await run(source, { runner });
    expect(outcomeOf(end, results.at(-1), false)).toMatchObject({
      status: "failed",
      error: { code: "no_result" },
    });
  });

  test("a module's result of any size arrives whole, beside all that the module has printed", async () => {
    const source = `export default () => {
      for (let n = 0; n < 2000; n += 1) console.log("line " + n + " " + "x".repeat(100));
      return { status: "completed", message: "y".repeat(200_000) };
    };`;
    const { results, text } = await run(source, { runner });
    expect(text("stdout").split("\n")).toHaveLength(2001);
    expect(text("stdout")).toMatch(/line 1999 x+\n$/);
    // Result and output come over two pipes, so which of them is read first is the system's affair.
    expect(results).toEqual([{ status: "completed", message: "y".repeat(200_000) }]);
  });

  test("a module that hangs after its result is reaped", async () => {
    const source = `export default () => { setInterval(() => undefined, 1000); return { status: "changed" }; };`;
    const { results, end } = await run(source, { runner });
    expect(results).toEqual([{ status: "changed" }]);
    expect(end.reason).toBe("reaped");
  });

  test("a program that a module starts does not inherit the pipe of the result", async () => {
    const source = `
      import { spawnSync } from "node:child_process";
      export default () => ({ status: "completed", there: spawnSync("test", ["-e", "/proc/self/fd/3"]).status === 0 });
    `;
    expect((await run(source, { runner })).results).toEqual([{ status: "completed", there: false }]);
  });
});

test("a module's result waits while the output is paused", async () => {
  const source = `export default async () => {
    const awake = setInterval(() => undefined, 1000);
    const called = new Promise((go) => process.once("SIGUSR2", go));
    console.log("up");
    await called;
    clearInterval(awake);
    console.log("last");
    return { status: "completed" };
  };`;
  const { step, says, told, results } = await launch(source, { clocks: { ...SHORT, resultGraceMs: 5000 } });
  await says("stdout", "up");
  step.pause();
  process.kill(step.pid ?? 0, "SIGUSR2");
  await step.ended;
  expect(results).toEqual([{ status: "completed" }]);
  expect(told.map(({ kind, text }) => `${kind} ${text.trim()}`)).toEqual([
    "stdout up",
    "stdout last",
    "result completed",
  ]);
});

test("in the output of a raw script, a text in the middle of a line is no result", async () => {
  const source = `${printing(`x ${FORGED}`)} process.exitCode = 0;`;
  const { results, end } = await run(source);
  expect(results).toEqual([]);
  expect(outcomeOf(end, undefined, false)).toMatchObject({ error: { code: "no_result" } });
});

test("a raw script whose manifest asks for the predecessor's rule may print its result anywhere in a line", async () => {
  const { results } = await run(printing(`2026-03-01 info: FLOW_RESULT {"status":"changed"}`), {
    result: "anywhere",
  });
  expect(results).toEqual([{ status: "changed" }]);
});
