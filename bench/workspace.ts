/** The flow packages of the bench: what steps do is known exactly, and as little as the measure allows. */
import { cp, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { projectPath } from "../scripts/project.ts";

const QUICK = `console.log("began " + Date.now());
console.log('FLOW_RESULT {"status":"completed"}');
`;

/** Says when it began and ended; the payload says how long it sleeps in between. */
const SLEEP = `const { payload } = JSON.parse(await Bun.stdin.text()).flow.event;
console.log("began " + Date.now());
await Bun.sleep(payload.ms);
console.log("ended " + Date.now());
console.log('FLOW_RESULT {"status":"completed"}');
`;

/**
 * Prints what a build prints: time, module, path, what was done, how long it took, a hash that nobody can compress.
 * \`bytes\` of it, spread evenly over \`seconds\`.
 */
const LOG = `const { payload } = JSON.parse(await Bun.stdin.text()).flow.event;
const { seconds, bytes } = payload;
let seed = 42;
const random = (below) => {
  seed = (seed * 1103515245 + 12345) & 0x7fffffff;
  return seed % below;
};
const any = (words) => words[random(words.length)];
const modules = ["parser", "planner", "storage", "protocol", "session", "sandbox", "exec", "tui", "config", "mcp"];
const files = ["lib", "mod", "types", "error", "event", "client", "server", "history", "render", "state", "tests"];
const done = ["compiled", "checked", "linked", "test passed", "skipped: up to date", "warning: unused variable"];
const line = () =>
  new Date().toISOString() + " " + any(["info ", "debug", "warn "]) + " codex-rs/" + any(modules) + "/src/" +
  any(files) + ".rs:" + random(2000) + " " + any(done) + " in " + random(9000) + " ms (" +
  random(0x7fffffff).toString(16) + ")\\n";
const began = performance.now();
let printed = 0;
while (printed < bytes) {
  const due = Math.min(bytes, (bytes * (performance.now() - began)) / (seconds * 1000));
  let text = "";
  while (printed + text.length < due) text += line();
  printed += text.length;
  if (text !== "") await Bun.write(Bun.stdout, text);
  await Bun.sleep(250);
}
console.log('FLOW_RESULT {"status":"completed","message":"built"}');
`;

const MANIFEST = `name = "bench"
version = 1
${["quick", "sleep", "log"]
  .map(
    (name) => `
[[steps]]
name = "${name}"
runner = "bun"
script = "exec/${name}.ts"
timeout_ms = 600000
[steps.trigger]
type = "bench.${name}"
`,
  )
  .join("")}
[[steps]]
name = "turn"
runner = "codex"
script = "prompt.md"
[steps.trigger]
type = "bench.turn"

[[steps]]
name = "talk"
runner = "codex"
script = "prompt.md"
[steps.trigger]
type = "bench.talk"
[steps.budget]
tokens = 1000

[[steps]]
name = "picky"
runner = "bun"
script = "exec/quick.ts"
[steps.trigger]
type = "bench.picky"
schema = "schemas/never.json"
`;

export async function benchWorkspace(root: string): Promise<void> {
  const flow = join(root, "flows/bench");
  await mkdir(join(flow, "exec"), { recursive: true });
  await mkdir(join(flow, "schemas"), { recursive: true });
  await cp(projectPath("flows/hello"), join(root, "flows/hello"), { recursive: true });
  await writeFile(join(flow, "flow.toml"), MANIFEST);
  await writeFile(join(flow, "prompt.md"), "---\nsandbox: read-only\napproval_policy: never\n---\nDo it.\n");
  await writeFile(join(flow, "schemas/never.json"), JSON.stringify({ type: "object", required: ["wanted"] }));
  for (const [name, text] of Object.entries({ quick: QUICK, sleep: SLEEP, log: LOG }))
    await writeFile(join(flow, `exec/${name}.ts`), text);
}
