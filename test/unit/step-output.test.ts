/** Output of steps: text whatever the bytes, bounded chunks, bounded memory, back-pressure, no secrets. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterAll, describe, expect, test } from "vitest";
import { OUTPUT_CHUNK_MAX_BYTES } from "../../contract/limits.ts";
import { OutputChunker } from "../../runner-agent/steps/output-chunker.ts";
import { launch, removePackages, run } from "./step-harness.ts";

afterAll(removePackages);

const MIB = 1024 * 1024;

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

/** Bytes that something still holds. */
function memoryInUse(): number {
  collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

test("a line of 8 MB streams in bounded chunks, and the result behind it is found", async () => {
  const source = `process.stdout.write("ä€😀x".repeat(${MIB * 8} / 10) + '\\nFLOW_RESULT {"status":"completed"}\\n');`;
  const { told, text, results } = await run(source);
  const chunks = told
    .filter((entry) => entry.kind === "stdout")
    .map((entry) => Buffer.byteLength(entry.text));
  expect(Math.max(...chunks)).toBeLessThanOrEqual(OUTPUT_CHUNK_MAX_BYTES);
  expect(text("stdout").startsWith("ä€😀xä€😀x")).toBe(true);
  expect(text("stdout")).not.toContain("\uFFFD");
  expect(Buffer.byteLength(text("stdout"))).toBe(Math.floor((MIB * 8) / 10) * 10 + 36);
  expect(results).toEqual([{ status: "completed" }]);
});

test("20 MB of output, taken slowly, do not pile up", async () => {
  const source = `
    const line = "x".repeat(1023) + "\\n";
    for (let n = 0; n < 20 * 1024; n += 1)
      if (!process.stdout.write(line)) await new Promise((go) => process.stdout.once("drain", go));
  `;
  let bytes = 0;
  let pauses = 0;
  const before = memoryInUse();
  let peak = 0;
  const { step } = await launch(source, {
    keep: false,
    events: {
      output: (_stream, text) => {
        bytes += text.length;
        if (bytes < (pauses + 1) * MIB) return;
        pauses += 1;
        step.pause();
        peak = Math.max(peak, memoryInUse() - before);
        setImmediate(() => {
          step.resume();
        });
      },
    },
  });
  expect(await step.ended).toMatchObject({ exit: { code: 0 } });
  expect(bytes).toBe(20 * MIB);
  expect(pauses).toBe(20);
  expect(peak).toBeLessThan(4 * MIB);
});

test("bytes that are no text become U+FFFD, and nothing else is lost", async () => {
  const source = `process.stdout.write(Buffer.from([0x61, 0xff, 0xfe, 0x00, 0xc3, 0x0a, 0x62])); process.stderr.write(Buffer.from([0xe2, 0x82]));`;
  const { text } = await run(source);
  expect(text("stdout")).toBe("a\uFFFD\uFFFD\0\uFFFD\nb");
  expect(text("stderr")).toBe("\uFFFD");
});

test("a character that comes in two writes is one character", async () => {
  const source = `
    process.stdout.write(Buffer.from([0xe2, 0x82]));
    setTimeout(() => process.stdout.write(Buffer.from([0xac, 0x21])), 60);
  `;
  expect((await run(source)).text("stdout")).toBe("€!");
});

test("a prompt without a newline is shown while the step waits", async () => {
  const { says, step } = await launch(
    `process.stdout.write("Continue? "); setInterval(() => undefined, 1000);`,
  );
  await says("stdout", "Continue? ");
  step.cancel("canceled");
  await step.ended;
});

test("many small writes are few chunks", async () => {
  const { told, text } = await run(`for (let n = 0; n < 500; n += 1) console.log("line " + n);`);
  expect(text("stdout").split("\n")).toHaveLength(501);
  expect(told.length).toBeLessThan(50);
});

test("what comes on both streams keeps its order", () => {
  const told: string[] = [];
  const chunker = new OutputChunker((stream, text) => told.push(`${stream} ${text}`));
  for (const [stream, text] of [
    ["stdout", "a"],
    ["stdout", "b"],
    ["stderr", "c"],
    ["stdout", ""],
    ["stderr", "d"],
    ["stdout", "e"],
  ] as const)
    chunker.add(stream, text);
  chunker.flush();
  chunker.flush();
  expect(told).toEqual(["stdout ab", "stderr cd", "stdout e"]);
});

describe("invariant 15: no secret leaves the box", () => {
  const value = `s3cr/t+"pä ss&word`;
  const secrets = [{ name: "API_KEY", value }];
  const forms = [
    value,
    JSON.stringify(value).slice(1, -1),
    encodeURIComponent(value),
    Buffer.from(value).toString("base64"),
    Buffer.from(value).toString("base64url"),
    Buffer.from(`user:${value}`).toString("base64"),
  ];

  test("raw, escaped or encoded, in one write or in many, on both streams", async () => {
    const source = `
      const forms = ${JSON.stringify(forms)};
      for (const form of forms) {
        console.log("one " + form + " end"); console.error("err " + form + " end");
        for (const byte of Buffer.from("many " + form + " end\\n")) {
          process.stdout.write(Buffer.of(byte));
          await new Promise((go) => setTimeout(go, 1));
        }
      }
      console.log("done");
    `;
    const { text } = await run(source, { secrets });
    const output = text("stdout") + text("stderr");
    for (const form of forms.slice(0, 5)) expect(output).not.toContain(form);
    expect(output.match(/\*\*\* end/g)?.length).toBeGreaterThanOrEqual(15);
    expect(output).toContain("done");
  });

  test("in results: text, keys, numbers, and what a parser's message would quote", async () => {
    const source = `
      const value = ${JSON.stringify(value)};
      console.log("FLOW_RESULT " + JSON.stringify({ status: "completed", message: "key " + value, artifacts: { [value]: [value, 12345678] } }));
      console.log("FLOW_RESULT {" + value);
    `;
    const both = [...secrets, { name: "PIN", value: "12345678" }];
    const { results, end } = await run(source, { secrets: both });
    expect(results).toEqual([
      { status: "completed", message: "key ***", artifacts: { "***": ["***", "***"] } },
    ]);
    expect(end.error?.code).toBe("invalid_result");
    expect(JSON.stringify(end)).not.toContain("s3cr");
  });

  test("a result that spreads a secret over its fields is refused, not passed on", async () => {
    const whole = `{"user":"me","password":"x"}`;
    const source = `console.log('FLOW_RESULT {"status":"completed","artifacts":{"key":${whole}}}');`;
    const { results, end } = await run(source, { secrets: [{ name: "LOGIN", value: whole }] });
    expect(results).toEqual([]);
    expect(end.error?.message).toContain("secret");
  });
});
