/** The compiled catalog: what the Worker is built with. */
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, test } from "vitest";
import { compileCatalog } from "../../catalog/compile.ts";
import { BrokenPackagesError } from "../../catalog/fault.ts";
import type { Flow } from "../../contract/flow-manifest.ts";
import { packageFiles, workspaceWith, writeFiles } from "../support/flow-workspace.ts";

interface CatalogModule {
  flows: Flow[];
  validators: Record<string, Validator & { thorough?: Validator }>;
}
type Validator = ((payload: unknown) => boolean) & { errors?: { instancePath: string }[] | null };

/** Node itself loads it: the module may import nothing. */
async function load(file: string): Promise<CatalogModule> {
  return (await import(/* @vite-ignore */ pathToFileURL(file).href)) as CatalogModule;
}

const SCHEMA = {
  $id: "https://example.test/payload",
  type: "object",
  required: ["repo", "at"],
  properties: {
    repo: { type: "string", minLength: 3, pattern: "^[^/]+/[^/]+$" },
    at: { type: "string", format: "date-time" },
    tags: { type: "array", uniqueItems: true, items: { type: ["string", "number"] } },
  },
};

test("the module loads in Node, holds the flows without their config, and validates with all errors", async () => {
  const workspace = await workspaceWith(packageFiles("flows/a", "a", { schema: SCHEMA }));
  const manifest = await readFile(join(workspace, "flows/a/flow.toml"), "utf8");
  await writeFiles(workspace, { "flows/a/flow.toml": `config = { token = "kept at home" }\n${manifest}` });
  const out = join(workspace, "out/catalog.js");
  expect(await compileCatalog(workspace, out)).toMatchObject({ flows: 1, changed: true });

  const { flows, validators } = await load(out);
  expect(flows).toMatchObject([
    { name: "a", version: 1, steps: [{ name: "run", trigger: { type: "a.event" } }] },
  ]);
  expect(await readFile(out, "utf8")).not.toContain("kept at home");
  const validate = validators["a/run"];
  expect(validate?.({ repo: "openai/codex", at: "2026-01-01T00:00:00Z", tags: ["a", 1] })).toBe(true);
  const wrong = { repo: "😀", at: "yesterday", tags: [1, 1] };
  expect(validate?.(wrong)).toBe(false);
  expect(validate?.errors).toHaveLength(1);
  expect(validate?.thorough?.(wrong)).toBe(false);
  expect(validate?.thorough?.errors?.map(({ instancePath }) => instancePath).sort()).toEqual([
    "/at",
    "/repo",
    "/repo",
    "/tags",
  ]);
});

test("drafts keep their meaning: one schema's array of items is a tuple, the other's prefixItems", async () => {
  const workspace = await workspaceWith({
    ...packageFiles("flows/old", "old", {
      schema: { $schema: "http://json-schema.org/draft-07/schema#", items: [{ type: "string" }] },
    }),
    ...packageFiles("flows/new", "new", {
      schema: { $schema: "https://json-schema.org/draft/2020-12/schema", prefixItems: [{ type: "string" }] },
    }),
  });
  const out = join(workspace, "catalog.mjs");
  await compileCatalog(workspace, out);
  const { validators } = await load(out);
  for (const key of ["old/run", "new/run"]) {
    expect(validators[key]?.(["a", 1])).toBe(true);
    expect(validators[key]?.([1])).toBe(false);
  }
});

test("steps with the same schema share one function; other schemas may use the same $id", async () => {
  const workspace = await workspaceWith({
    ...packageFiles("flows/a", "a", { schema: SCHEMA }),
    ...packageFiles("flows/b", "b", { schema: SCHEMA }),
    ...packageFiles("flows/c", "c", { schema: { ...SCHEMA, required: [] } }),
    ...packageFiles("flows/d", "d"),
  });
  // The same content, written differently.
  await writeFiles(workspace, { "flows/b/schema.json": JSON.stringify(SCHEMA, null, 4) });
  const out = join(workspace, "catalog.js");
  await compileCatalog(workspace, out);
  const { flows, validators } = await load(out);
  expect(flows.map(({ name }) => name)).toEqual(["a", "b", "c", "d"]);
  expect(Object.keys(validators)).toEqual(["a/run", "b/run", "c/run"]);
  expect(validators["a/run"]).toBe(validators["b/run"]);
  expect(validators["c/run"]?.({})).toBe(true);
});

test("files are written only when something has changed, and nothing temporary is left", async () => {
  const workspace = await workspaceWith(packageFiles("flows/a", "a", { schema: SCHEMA }));
  const out = join(workspace, "out/catalog.js");
  await compileCatalog(workspace, out);
  const { mtimeNs, ino } = await stat(out, { bigint: true });
  expect(await compileCatalog(workspace, out)).toMatchObject({ flows: 1, changed: false });
  expect(await stat(out, { bigint: true })).toMatchObject({ mtimeNs, ino });

  await writeFiles(workspace, { "flows/a/exec/run.ts": "// another digest" });
  expect(await compileCatalog(workspace, out)).toMatchObject({ flows: 1, changed: true });
  expect((await readdir(join(workspace, "out"))).sort()).toEqual(["catalog.d.ts", "catalog.js"]);
});

test("a workspace without flows compiles to an empty catalog", async () => {
  const workspace = await workspaceWith({});
  const out = join(workspace, "catalog.js");
  expect(await compileCatalog(workspace, out)).toMatchObject({ flows: 0, changed: true });
  const { flows, validators } = await load(out);
  expect(flows).toEqual([]);
  expect(validators).toEqual({});
});

test("broken packages stop the build with every fault, and what was built stays", async () => {
  const workspace = await workspaceWith(packageFiles("flows/good", "good"));
  const out = join(workspace, "catalog.js");
  await compileCatalog(workspace, out);
  const before = await readFile(out, "utf8");
  await writeFiles(workspace, {
    "flows/a/flow.toml": 'name = "a"\nversion = "1"\n[[steps]]\nname = "s"\nrunner = "sh"\nscript = "s.sh"\n',
    "flows/b/flow.toml": "name",
  });
  const error = await compileCatalog(workspace, out).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(BrokenPackagesError);
  expect((error as BrokenPackagesError).message).toBe(
    `the flow packages have 4 faults:
  flows/a/flow.toml:2:1 version must be a number
  flows/a/flow.toml:5:1 steps[0].runner must be one of bun, node, codex, code-mode
  flows/a/flow.toml:6:1 steps[0].script no such file in the package: s.sh; make it, or correct the path, which begins at the folder of flow.toml
  flows/b/flow.toml:1:1 Invalid TOML document: incomplete key-value: cannot find end of key`,
  );
  expect(await readFile(out, "utf8")).toBe(before);
});
