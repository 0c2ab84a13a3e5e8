/** What of a codex step can be known to be wrong before there is an event: each with its file, none of it a run's to find. */
import { relative } from "node:path";
import { expect, test } from "vitest";
import { loadCatalog } from "../../catalog/load.ts";
import { checkCodexSteps, type CheckedSteps } from "../../runner-agent/codex/step/package-check.ts";
import { strictComplaints } from "../../runner-agent/codex/step/strict-schema.ts";
import { workspaceWith } from "../support/flow-workspace.ts";

async function check(files: Record<string, string>, toml = ""): Promise<CheckedSteps & { said: string[] }> {
  const script = Object.keys(files)[0] ?? "";
  const manifest = `name = "look"\nversion = 1\n[config]\nrepo = "app"\n[[steps]]\nname = "run"\nrunner = "${script.endsWith(".js") ? "code-mode" : "codex"}"\nscript = "${script}"\n${toml}`;
  const placed = Object.entries(files).map(([path, text]) => [`flows/look/${path}`, text]);
  const workspace = await workspaceWith({
    "flows/look/flow.toml": manifest,
    ...(Object.fromEntries(placed) as Record<string, string>),
  });
  const { packages, faults } = await loadCatalog(workspace);
  expect(faults).toEqual([]);
  const checked = checkCodexSteps(packages);
  const said = checked.faults.map(
    ({ file, path, message }) => `${relative(`${workspace}/flows/look`, file)} ${path}: ${message}`,
  );
  return { ...checked, said };
}

const FINDINGS = {
  type: "object",
  additionalProperties: false,
  required: ["findings"],
  properties: { findings: { type: "array", items: { type: ["string", "null"] } } },
};

test("a step that is as it should be: what it asks for is known, and what only an event fills is nobody's fault", async () => {
  const prompt = `---\nmodel: m\nsession: "{{payload.session?}}"\noutput: out.json\n---\nLook at {{payload.tag}} of {{config.repo}}{{config.none?}}.`;
  const { steps, said } = await check(
    { "prompt.md": prompt, "out.json": JSON.stringify(FINDINGS) },
    "[steps.budget]\nusd = 1\n",
  );
  expect(said).toEqual([]);
  expect(steps).toMatchObject([
    { name: "look/run", kind: "codex", model: "m", sandbox: "workspace-write", priced: true },
  ]);
});

test.each([
  ["an unknown key", "---\nmodle: x\n---\nDo it.", "prompt.md : front matter: unknown key modle"],
  ["front matter that is no YAML", "---\na: [\n---\nDo it.", "prompt.md : the front matter is not YAML"],
  ["front matter without an end", "---\nmodel: x\nDo it.", "prompt.md : the front matter is not closed"],
  ["a session that is none", "---\nsession: always\n---\nDo it.", "session must be one of new, reuse, auto"],
  ["nothing to do", "---\nmodel: x\n---\n", "prompt.md : the prompt is empty"],
  [
    "a placeholder that the configuration lacks",
    "Do {{config.rpeo}}.",
    "prompt.md {{config.rpeo}}: leads to nothing",
  ],
  ["a schema that is not there", "---\noutput: none.json\n---\nDo it.", "none.json : ENOENT"],
  ["a schema that is no JSON", "---\noutput: bad.json\n---\nDo it.", "bad.json : "],
  ["a schema that is none", "---\noutput: odd.json\n---\nDo it.", "odd.json : "],
  [
    "an open schema, which providers refuse",
    "---\noutput: open.json\n---\nDo it.",
    "open.json : must say additionalProperties: false",
  ],
])("%s", async (_what, prompt, words) => {
  const { said } = await check({
    "prompt.md": prompt,
    "bad.json": "{",
    "odd.json": JSON.stringify({ ...FINDINGS, type: "thing" }),
    "open.json": JSON.stringify({ ...FINDINGS, additionalProperties: true }),
  });
  expect(said.join("\n")).toContain(words);
});

test("a saved script's front matter is read, too", async () => {
  const good = await check({ "run.js": "/*---\nsandbox: read-only\n---*/\nresult({});" });
  expect([good.said, good.steps[0]?.sandbox]).toEqual([[], "read-only"]);
  const wrong = await check({ "run.js": "/*---\nmodel: x\n---*/\nresult({});" });
  expect(wrong.said).toEqual([expect.stringContaining("run.js : front matter: unknown key model")]);
});

test("what strict output does not take is found wherever it stands", () => {
  const inner = {
    type: "object",
    properties: { a: { oneOf: [] }, b: {} },
    required: ["a"],
    additionalProperties: false,
  };
  const schema = {
    ...FINDINGS,
    properties: { findings: { type: "array", items: { anyOf: [{ type: "null" }, inner] } } },
  };
  expect(strictComplaints(schema)).toMatchObject([
    {
      pointer: "/properties/findings/items/anyOf/1/required",
      message: expect.stringContaining("lacks b") as string,
    },
    { pointer: "/properties/findings/items/anyOf/1/properties/a/oneOf" },
  ]);
  expect(strictComplaints(FINDINGS)).toEqual([]);
});
