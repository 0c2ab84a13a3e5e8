/**
 * Makes a new flow package that works at once: it passes the check and runs, so that its author starts from
 * something that answers. Never writes into a folder that is already there.
 */
import { Ajv } from "ajv";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import type { FlowEventInput } from "../contract/flow-event.ts";
import { FlowManifest } from "../contract/flow-manifest.ts";
import { MANIFEST_NAME } from "./discover.ts";
import { hasErrorCode } from "./fault.ts";
import { loadCatalog } from "./load.ts";

/** The name cannot be used, or is taken. The message says what to do. */
export class ScaffoldError extends Error {
  readonly code = "cannot_scaffold";

  constructor(message: string) {
    super(message);
    this.name = "ScaffoldError";
  }
}

/** A package that was just made. */
export interface ScaffoldedFlow {
  /** Absolute path of the package, when the workspace is one. */
  root: string;
  /** Relative to the workspace, in the order in which to read them. */
  files: string[];
  /** An event that the flow matches. */
  event: FlowEventInput;
}

const isFlowName: (name: string) => boolean = new Ajv().compile<string>(FlowManifest.properties.name);

/** Makes `flows/<name>` in a workspace. Throws ScaffoldError when the name is bad or taken. */
export async function scaffoldFlow(workspace: string, name: string): Promise<ScaffoldedFlow> {
  if (!isFlowName(name))
    throw new ScaffoldError(
      `"${name}" cannot be the name of a flow: use 1 to 64 of a-z 0-9 - _, the first a letter or a digit`,
    );
  const { packages } = await loadCatalog(workspace);
  const namesake = packages.find(({ flow }) => flow.name === name);
  if (namesake !== undefined) throw taken(name, relative(workspace, namesake.root));

  const root = join(workspace, "flows", name);
  await makeFolder(root, name);
  const contents = packageFiles(name);
  try {
    for (const [path, content] of contents) {
      await mkdir(dirname(join(root, path)), { recursive: true });
      await writeFile(join(root, path), content);
    }
  } catch (error) {
    await rm(root, { recursive: true, force: true });
    throw error;
  }
  return {
    root,
    files: contents.map(([path]) => relative(workspace, join(root, path))),
    event: { id: `${name}:1`, type: eventType(name), source: "example", payload: { name: "world" } },
  };
}

async function makeFolder(root: string, name: string): Promise<void> {
  await mkdir(dirname(root), { recursive: true });
  try {
    await mkdir(root);
  } catch (error) {
    if (hasErrorCode(error, "EEXIST")) throw taken(name, join("flows", name));
    throw error;
  }
}

function taken(name: string, where: string): ScaffoldError {
  return new ScaffoldError(`the flow ${name} is already there: ${where}. Choose another name, or remove it`);
}

function eventType(name: string): string {
  return `${name}.requested`;
}

function packageFiles(name: string): [path: string, content: string][] {
  const schemaPath = `schemas/${name}-requested.schema.json`;
  return [
    [MANIFEST_NAME, manifest(name, schemaPath)],
    [schemaPath, schema(name)],
    ["exec/run.ts", script(name)],
  ];
}

function manifest(name: string, schemaPath: string): string {
  return `name = "${name}"
version = 1
description = "Greets whoever the event names"

[config]
greeting = "hello"

[[steps]]
name = "run"
runner = "bun"
script = "exec/run.ts"
timeout_ms = 60000

[steps.trigger]
type = "${eventType(name)}"
schema = "${schemaPath}"
`;
}

function schema(name: string): string {
  const content = {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: `Payload of ${eventType(name)}`,
    type: "object",
    required: ["name"],
    properties: { name: { type: "string", minLength: 1 } },
  };
  return `${JSON.stringify(content, null, 2)}\n`;
}

function script(name: string): string {
  return `// The step of the flow ${name}. What it prints is the run's output; what it returns is the run's result.

interface StepContext {
  flow: {
    config: { greeting: string };
    event: { id: string; payload: { name: string } };
  };
}

export default function run({ flow }: StepContext) {
  const message = \`\${flow.config.greeting} \${flow.event.payload.name}\`;
  console.log(message);
  return { status: "completed", message };
}
`;
}
