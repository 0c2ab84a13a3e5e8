/** Every fault of a flow package is told with file, line, column, key and what to do; a good one has none. */
import { join } from "node:path";
import { expect, test } from "vitest";
import { RETRY_MAX_ATTEMPTS } from "../../contract/limits.ts";
import { describeFault } from "../../catalog/fault.ts";
import { loadCatalog } from "../../catalog/load.ts";
import { workspaceWith } from "../support/flow-workspace.ts";

const STEP = '[[steps]]\nname = "s"\nrunner = "bun"\nscript = "exec/s.ts"\n';
const HEAD = 'name = "f"\nversion = 1\n';

async function faultsOf(manifest: string, files: Record<string, string> = {}): Promise<string[]> {
  const workspace = await workspaceWith({
    "flows/f/flow.toml": manifest,
    "flows/f/exec/s.ts": "",
    ...files,
  });
  const { faults } = await loadCatalog(workspace);
  return faults.map((fault) => describeFault(fault, join(workspace, "flows/f")));
}

/** What the ancestor refused, and what it ignored in silence. */
const MANIFEST_FAULTS: [what: string, manifest: string, faults: string[]][] = [
  [
    "an empty file",
    "",
    [
      "flow.toml:1:1 name is required",
      "flow.toml:1:1 version is required",
      "flow.toml:1:1 steps is required: at least one [[steps]] entry",
    ],
  ],
  ["no TOML", `${HEAD}steps = [\n`, ["flow.toml:4:1 Invalid TOML document: invalid value"]],
  [
    "a key twice",
    `${HEAD}version = 2\n${STEP}`,
    ["flow.toml:3:1 Invalid TOML document: trying to redefine an already defined table or value"],
  ],
  ["no name", `version = 1\n${STEP}`, ["flow.toml:1:1 name is required"]],
  [
    "a blank name",
    `name = " "\nversion = 1\n${STEP}`,
    ["flow.toml:1:1 name must be of the form: a-z 0-9 - _"],
  ],
  ["a name that is no text", `name = 1\nversion = 1\n${STEP}`, ["flow.toml:1:1 name must be a string"]],
  ["no version", `name = "f"\n${STEP}`, ["flow.toml:1:1 version is required"]],
  ["a version as text", `name = "f"\nversion = "1"\n${STEP}`, ["flow.toml:2:1 version must be a number"]],
  ["an endless version", `name = "f"\nversion = inf\n${STEP}`, ["flow.toml:2:1 version must be a number"]],
  ["no steps", HEAD, ["flow.toml:1:1 steps is required: at least one [[steps]] entry"]],
  [
    "steps without an entry",
    `${HEAD}steps = []\n`,
    ["flow.toml:3:1 steps is required: at least one [[steps]] entry"],
  ],
  [
    "steps as one table",
    `${HEAD}[steps]\nname = "s"\n`,
    ["flow.toml:3:2 steps is required: at least one [[steps]] entry"],
  ],
  ["a step that is no table", `${HEAD}steps = ["s"]\n`, ["flow.toml:3:10 steps[0] must be a table"]],
  [
    "an empty step",
    `${HEAD}[[steps]]\n`,
    [
      "flow.toml:3:3 steps[0].name is required",
      "flow.toml:3:3 steps[0].runner is required",
      "flow.toml:3:3 steps[0].script is required",
    ],
  ],
  [
    "another runner",
    `${HEAD}${STEP.replace('"bun"', '"deno"')}`,
    ["flow.toml:5:1 steps[0].runner must be one of bun, node, codex, code-mode"],
  ],
  [
    "a trigger without a type",
    `${HEAD}${STEP}[steps.trigger]\n`,
    ["flow.toml:7:8 steps[0].trigger.type is required"],
  ],
  [
    "a timeout as text",
    `${HEAD}${STEP}timeout_ms = "5"\n`,
    ["flow.toml:7:1 steps[0].timeout_ms must be a whole number"],
  ],
  [
    "a timeout of nothing",
    `${HEAD}${STEP}timeout_ms = 0\n`,
    ["flow.toml:7:1 steps[0].timeout_ms must be >= 1"],
  ],
  [
    "a description that is no text",
    `${HEAD}description = 1\n${STEP}`,
    ["flow.toml:3:1 description must be a string"],
  ],
  ["config as text", `${HEAD}config = "x"\n${STEP}`, ["flow.toml:3:1 config must be a table"]],
  [
    "a number that JSON does not have",
    `${HEAD}[config]\na.b = [1, nan]\n${STEP}`,
    ["flow.toml:4:11 config.a.b[1] must be a finite number: JSON has no inf and no nan"],
  ],
  [
    "a skill that is no text",
    `${HEAD}guidance = { skills = ["a", 1] }\n${STEP}`,
    ["flow.toml:3:29 guidance.skills[1] must be a string"],
  ],
  [
    "an unknown key",
    `${HEAD}verison = 1\n${STEP}`,
    [
      "flow.toml:3:1 verison is not a known key; allowed here: name, version, description, config, guidance, files, steps",
    ],
  ],
  [
    "an unknown table in a step",
    `${HEAD}${STEP}  [steps.triger]\n  type = "t"\n`,
    [
      "flow.toml:7:10 steps[0].triger is not a known key; allowed here: name, runner, script, timeout_ms, silence_ms, " +
        "queue_ms, cwd, project, workdir, workspace, pool, labels, priority, trigger, concurrency, retry, budget, result",
    ],
  ],
  [
    "a budget of what the kind of step never uses",
    `${HEAD}${STEP}budget.seconds = 1\n${STEP.replace('name = "', 'name = "other-').replace(/runner = "\w+"/, 'runner = "code-mode"')}budget = { tokens = 1, seconds = 2, usd = 3 }\n`,
    [
      "flow.toml:7:1 steps[0].budget limits nothing of a bun step, which asks no model: use timeout_ms",
      "flow.toml:12:12 steps[1].budget.tokens limits nothing of a code-mode step, which asks no model: seconds does",
      "flow.toml:12:37 steps[1].budget.usd limits nothing of a code-mode step, which asks no model: seconds does",
    ],
  ],
  [
    "an unknown key in an inline table",
    `${HEAD}${STEP}retry = { attempts = 2, of = ["lost"] }\n`,
    ["flow.toml:7:25 steps[0].retry.of is not a known key; allowed here: attempts, on, backoff_ms"],
  ],
  [
    "more attempts than are allowed",
    `${HEAD}${STEP}retry.attempts = ${RETRY_MAX_ATTEMPTS + 1}\n`,
    [`flow.toml:7:7 steps[0].retry.attempts must be <= ${RETRY_MAX_ATTEMPTS}`],
  ],
  [
    "another kind of workspace",
    `${HEAD}${STEP}workspace = "tree"\n`,
    ["flow.toml:7:1 steps[0].workspace must be of the form: shared, worktree, or a table for a worktree"],
  ],
  [
    "a workspace that is a number",
    `${HEAD}${STEP}workspace = 1\n`,
    ["flow.toml:7:1 steps[0].workspace must be a string or a table"],
  ],
  [
    "an unknown key of a worktree",
    `${HEAD}${STEP}[steps.workspace]\nbranch = "main"\n`,
    ["flow.toml:8:1 steps[0].workspace.branch is not a known key; allowed here: mode, repo, ref, needs"],
  ],
  [
    "a shared workspace with a ref",
    `${HEAD}${STEP}workspace = { mode = "shared", ref = "main" }\n`,
    ["flow.toml:7:15 steps[0].workspace.mode must be one of worktree"],
  ],
  [
    "a project that is no text, and no folder",
    `${HEAD}${STEP}project = 1\nworkdir = ""\n`,
    [
      "flow.toml:7:1 steps[0].project must be a string",
      "flow.toml:8:1 steps[0].workdir must NOT have fewer than 1 characters",
    ],
  ],
  [
    "a mistyped project",
    `${HEAD}${STEP}projekt = "app"\n`,
    [expect.stringContaining("flow.toml:7:1 steps[0].projekt is not a known key") as string],
  ],
  [
    "a worktree of two repositories",
    `${HEAD}${STEP}project = "app"\nworkspace = { repo = "app" }\n`,
    [
      "flow.toml:7:1 steps[0].project says of which repository the worktree is, and so does workspace.repo: keep one of them",
    ],
  ],
  [
    "a worktree and another folder",
    `${HEAD}${STEP}project = "app"\nworkdir = "sub"\nworkspace = "worktree"\n`,
    ["flow.toml:8:1 steps[0].workdir does not go with a worktree: say by cwd where in it the step works"],
  ],
  [
    "two steps of one name",
    `${HEAD}${STEP}\n${STEP}`,
    ["flow.toml:9:1 steps[1].name is already the name of steps[0]; a step's name is unique in its flow"],
  ],
  [
    "a script outside",
    `${HEAD}${STEP.replace("exec/s.ts", "exec/../../s.ts")}`,
    [
      "flow.toml:6:1 steps[0].script must be of the form: a path inside the package, from the folder of flow.toml on, without .. and a leading /",
    ],
  ],
  [
    "a script that is not there",
    `${HEAD}${STEP.replace("exec/s.ts", "exec/t.ts")}`,
    [
      "flow.toml:6:1 steps[0].script no such file in the package: exec/t.ts; make it, or correct the path, which begins at the folder of flow.toml",
    ],
  ],
  [
    "a script that is a folder",
    `${HEAD}${STEP.replace("exec/s.ts", "exec")}`,
    ["flow.toml:6:1 steps[0].script is not a file: exec"],
  ],
  [
    "a schema that is not there",
    `${HEAD}${STEP}trigger = { type = "t", schema = "s.json" }\n`,
    [
      "flow.toml:7:25 steps[0].trigger.schema no such file in the package: s.json; make it, or correct the path, which begins at the folder of flow.toml",
    ],
  ],
  [
    "several at once",
    `name = "F"\nbogus = 1\n[[steps]]\nname = "s"\nscript = "nowhere.ts"\n`,
    [
      "flow.toml:1:1 version is required",
      "flow.toml:1:1 name must be of the form: a-z 0-9 - _",
      "flow.toml:2:1 bogus is not a known key; allowed here: name, version, description, config, guidance, files, steps",
      "flow.toml:3:3 steps[0].runner is required",
      "flow.toml:5:1 steps[0].script no such file in the package: nowhere.ts; make it, or correct the path, which begins at the folder of flow.toml",
    ],
  ],
];

test.each(MANIFEST_FAULTS)("%s is told with its position", async (_what, manifest, expected) => {
  expect(await faultsOf(manifest)).toEqual(expected);
});

const SCHEMA_FAULTS: [what: string, schema: string, faults: string[]][] = [
  [
    "no JSON",
    '{\n  "type": "object",\n  oops\n}',
    ["s.json:3:3 is not JSON: Expected double-quoted property name"],
  ],
  ["half a JSON", '{ "type":', ["s.json:1:10 is not JSON: Unexpected end of JSON input"]],
  ["no schema", "[]", ["s.json:1:1 must be a JSON Schema: an object, true or false"]],
  [
    "a type that does not exist, and more",
    '{"type":"objekt","required":"a"}',
    [
      "s.json:1:2 /type must be equal to one of the allowed values: array, boolean, integer, null, number, object, string",
      "s.json:1:18 /required must be array",
    ],
  ],
  // Both drafts call unknown keywords and formats annotations.
  ["a keyword that does not exist", '{"x-order":["a"]}', []],
  ["a format that does not exist", '{"properties":{"a":{"type":"string","format":"uint32"}}}', []],
  [
    "a reference to nowhere",
    '{"$ref":"other.json"}',
    [
      "s.json:1:2 /$ref refers to other.json, which is not a file of the package: put it there, for nothing is fetched",
    ],
  ],
  [
    "a draft that is not supported",
    '{"$schema":"http://json-schema.org/draft-04/schema#"}',
    [
      "s.json:1:2 /$schema is not supported: use https://json-schema.org/draft/2020-12/schema or " +
        "http://json-schema.org/draft-07/schema#",
    ],
  ],
  [
    "a check that takes its time",
    '{"$async":true}',
    ["s.json:1:2 /$async is not supported: a payload is checked at once"],
  ],
];

test.each(SCHEMA_FAULTS)(
  "flows check names what is wrong with a trigger schema that has %s, where it stands",
  async (_what, schema, expected) => {
    const manifest = `${HEAD}${STEP}trigger = { type = "t", schema = "s.json" }
[[steps]]
name = "t"
runner = "node"
script = "exec/s.ts"
trigger = { type = "t", schema = "s.json" }
`;
    expect(await faultsOf(manifest, { "flows/f/s.json": schema })).toEqual(expected);
  },
);

test.each(["draft/2020-12/schema", "draft-07/schema#"])(
  "what a schema of %s may leave open is no fault",
  async (draft) => {
    const schema = {
      $schema: `${draft.startsWith("draft-") ? "http" : "https"}://json-schema.org/${draft}`,
      properties: { a: { type: ["string", "number"] }, b: { format: "date-time" }, c: { minLength: 1 } },
      patternProperties: { "^a": {} },
      required: ["elsewhere"],
    };
    const manifest = `${HEAD}${STEP}trigger = { type = "t", schema = "s.json" }\n`;
    expect(await faultsOf(manifest, { "flows/f/s.json": JSON.stringify(schema) })).toEqual([]);
  },
);
