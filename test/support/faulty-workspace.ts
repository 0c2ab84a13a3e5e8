/**
 * A workspace of steps that go wrong, each in one way and named after it. Each is triggered by `fault.<name>`; its
 * process knows which attempt it is from CODEX_FLOW_ATTEMPT_ID.
 */
import { temporaryFolder, writeFiles, type AtEnd } from "./flow-workspace.ts";

/** What the `loud` step prints before its result, and the `long-line` steps in one line. */
export const LOUD_BYTES = 50 * 1024 * 1024;
export const LONG_LINE_BYTES = 8 * 1024 * 1024;
const HANG = "setInterval(() => undefined, 1000);";
const RESULT = `console.log('FLOW_RESULT {"status":"completed","message":"said"}');`;
const isFirst = `process.env.CODEX_FLOW_ATTEMPT_ID.endsWith("_a1")`;
const retryOn = (reason: string): string =>
  `[steps.retry]\nattempts = 2\non = ["${reason}"]\nbackoff_ms = 10\n`;

interface FaultyStep {
  source: string;
  /** Keys of the step itself. */
  keys?: string;
  /** Tables of the step. */
  tables?: string;
}

const steps: Record<string, FaultyStep> = {
  lingers: { source: `${RESULT} ${HANG}` },
  loud: {
    source: `
      // First and last a chunk of its own, so that the bound is not met evenly and a small piece comes behind it.
      const pause = () => new Promise((go) => setTimeout(go, 200));
      console.log("loud");
      await pause();
      for (let n = 0; n < ${LOUD_BYTES / 1024}; n += 1)
        if (!process.stdout.write(String(n).padStart(1023, "x") + "\\n")) await new Promise((go) => process.stdout.once("drain", go));
      await pause();
      ${RESULT}`,
    keys: `pool = "loud"`,
  },
  "long-line": {
    source: `process.stdout.write("y".repeat(${LONG_LINE_BYTES}) + "\\n", () => { ${RESULT} });`,
  },
  "long-result": {
    source: `console.log('FLOW_RESULT {"status":"completed","message":"' + "z".repeat(${LONG_LINE_BYTES}) + '"}');`,
  },
  binary: {
    source: `
      const every = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
      process.stdout.write(Buffer.concat([every, Buffer.from([0xc3]), Buffer.from("\\nbehind\\n")]));
      process.stderr.write(Buffer.from([0x00, 0xff, 0x00, 0x0a]), () => { ${RESULT} });`,
  },
  mute: {
    source: `import { closeSync } from "node:fs"; closeSync(1); closeSync(2); ${HANG}`,
    keys: "silence_ms = 1500",
  },
  silent: {
    source: `if (${isFirst}) ${HANG} else { ${RESULT} }`,
    keys: "silence_ms = 1500",
    tables: retryOn("timeout"),
  },
  endless: {
    source: `if (${isFirst}) setInterval(() => console.log("busy"), 100); else { ${RESULT} }`,
    keys: "timeout_ms = 1500",
    tables: retryOn("timeout"),
  },
  unwanted: { source: RESULT, keys: `queue_ms = 500\npool = "nobody"`, tables: retryOn("lost") },
  stubborn: {
    source: `process.on("SIGTERM", () => console.log("SIGTERM came")); ${HANG}`,
    keys: "timeout_ms = 1500",
  },
  killed: {
    source: `if (${isFirst}) { console.log("up"); ${HANG} } else { ${RESULT} }`,
    tables: retryOn("failed"),
  },
  /** Says that it is up, and the rest when the file of its payload is there. */
  waits: {
    source: `
      import { existsSync } from "node:fs";
      const { flow } = JSON.parse(await new Response(process.stdin).text());
      console.log("up");
      while (!existsSync(flow.event.payload.until)) await new Promise((again) => setTimeout(again, 30));
      console.log("freed"); ${RESULT} console.log("behind");`,
    keys: `pool = "full"`,
  },
  chatty: { source: `console.log("to stdout"); console.error("to stderr"); ${RESULT}` },
};

/** Its folder. */
export async function faultyWorkspace(atEnd?: AtEnd): Promise<string> {
  const root = await temporaryFolder(atEnd);
  const files = Object.entries(steps).flatMap(([name, { source, keys = "", tables = "" }]) => [
    [
      `flows/${name}/flow.toml`,
      `name = "${name}"\nversion = 1\n[[steps]]\nname = "${name}"\nrunner = "node"\nscript = "exec/step.mjs"\n${keys}\n[steps.trigger]\ntype = "fault.${name}"\n${tables}`,
    ],
    [`flows/${name}/exec/step.mjs`, source],
  ]);
  await writeFiles(root, Object.fromEntries(files) as Record<string, string>);
  return root;
}
