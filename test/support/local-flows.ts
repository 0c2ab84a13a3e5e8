/** Flow packages for local mode, and other processes that use it: as real as a product's. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { onTestFinished } from "vitest";
import type { FlowLocalClientOptions } from "../../client/index.ts";

const ENTRY = new URL("../../runner-agent/local/client-entry.ts", import.meta.url).href;

/** A package with one node step "run", triggered by `<name>.event`. `toml` goes below the step. */
export function nodePackage(
  name: string,
  script: string,
  { schema, toml = "" }: { schema?: unknown; toml?: string } = {},
): Record<string, string> {
  return {
    [`flows/${name}/flow.toml`]: `name = "${name}"
version = 1

[[steps]]
name = "run"
runner = "node"
script = "exec/run.mjs"
${toml}
[steps.trigger]
type = "${name}.event"
${schema === undefined ? "" : 'schema = "schema.json"'}
`,
    [`flows/${name}/exec/run.mjs`]: script,
    ...(schema === undefined ? {} : { [`flows/${name}/schema.json`]: JSON.stringify(schema) }),
  };
}

/** Reads the context of a raw script as `flow` and `runtime`, and can print a result. */
export const RAW = `
import { readFileSync, appendFileSync } from "node:fs";
const { flow, runtime } = JSON.parse(readFileSync(0, "utf8"));
const result = (value) => console.log("FLOW_RESULT " + JSON.stringify(value));
`;

/** A step that writes its pid down and never ends by itself, not even when it is asked to. */
export const ENDLESS = `${RAW}
process.on("SIGTERM", () => {});
appendFileSync("../../pids", process.pid + "\\n");
console.log("it goes on and on");
setInterval(() => {}, 1000);
`;

/** Another process with a local client: `body` is the text of an async function of that client. */
export function otherProcess(options: FlowLocalClientOptions, body: string): ChildProcess {
  const source = `
    const { createFlowClient } = await import(${JSON.stringify(ENTRY)});
    const client = createFlowClient({ mode: "local", ...${JSON.stringify(options)} });
    const say = (value) => process.stdout.write(JSON.stringify(value) + "\\n");
    ${body}
  `;
  const child = spawn(process.execPath, ["--input-type=module", "--eval", source], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  return child;
}

/** kill -9, and wait until it is gone. */
export async function killHard(child: ChildProcess): Promise<void> {
  const gone = once(child, "exit");
  child.kill("SIGKILL");
  await gone;
}
