/**
 * The flow openai-codex-bindings as the runner agent runs it: under bun, with little more than PATH and HOME in its
 * environment, on real git checkouts and the real Codex that is installed here. Only the npm registry is a local one.
 */
import { createHash } from "node:crypto";
import { cp, mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { execa } from "execa";
import fc from "fast-check";
import { describe, expect, onTestFinished, test } from "vitest";
import codexManifest from "@openai/codex/package.json" with { type: "json" };
import { loadCatalog } from "../../catalog/load.ts";
import { compileTrigger } from "../../catalog/trigger-schema.ts";
import { checkResult } from "../../contract/flow-result.ts";
import {
  applyDifference,
  differenceOf,
  readTree,
} from "../../flows/openai-codex-bindings/exec/bindings-tree.ts";
import { versionOfTag } from "../../flows/openai-codex-bindings/exec/release-version.ts";
import { temporaryFolder, workspaceWith, writeFiles } from "../support/flow-workspace.ts";

const INSTALLED = codexManifest.version;
const REPOSITORY = join(import.meta.dirname, "../..");
const STEP = join(REPOSITORY, "flows/openai-codex-bindings/exec/sync.ts");
const PATH = [join(REPOSITORY, "node_modules/.bin"), process.env["PATH"]].join(":");
const RESULT = "RESULT ";

interface Box {
  /** The step's working folder, below which the installed Codex is found. */
  workspace: string;
  checkout: string;
  env: Record<string, string>;
}

/** A workspace with an empty git checkout, and a home of its own. */
async function makeBox(): Promise<Box> {
  const workspace = await temporaryFolder();
  const home = join(workspace, "home");
  const checkout = join(workspace, "checkout");
  await writeFiles(home, { ".gitconfig": "[user]\n  name = Test\n  email = test@example.test\n" });
  await symlink(join(REPOSITORY, "node_modules"), join(workspace, "node_modules"));
  await mkdir(checkout);
  const box = { workspace, checkout, env: { PATH, HOME: home, LANG: "C.UTF-8" } };
  await git(box, "init", "--quiet");
  await git(box, "commit", "--quiet", "--allow-empty", "--message", "start");
  return box;
}

async function git(box: Box, ...args: string[]): Promise<string> {
  const { stdout } = await execa("git", ["-C", box.checkout, ...args], { env: box.env, extendEnv: false });
  return stdout;
}

interface Result {
  status: string;
  message: string;
  artifacts?: {
    version: string;
    directory: string;
    commit?: string;
    counts: Record<"added" | "changed" | "removed", number>;
    files: Record<"added" | "changed" | "removed", string[]>;
  };
}

async function runStep(
  box: Box,
  config: Record<string, unknown> = {},
  payload: Record<string, unknown> = {},
): Promise<Result> {
  const flow = {
    config: { checkout: "checkout", directory: "src/bindings", ...config },
    event: { payload: { repo: "openai/codex", tag: `rust-v${INSTALLED}`, ...payload } },
  };
  const program = `const step = await import(${JSON.stringify(STEP)});
    console.log(${JSON.stringify(RESULT)} + JSON.stringify(await step.default(${JSON.stringify({ flow })})));`;
  const { stdout } = await execa("bun", ["-e", program], {
    cwd: box.workspace,
    env: box.env,
    extendEnv: false,
  });
  const result: unknown = JSON.parse(stdout.slice(stdout.lastIndexOf(RESULT) + RESULT.length));
  expect(checkResult(result).kind).toBe("result");
  return result as Result;
}

const TAGS = new Map([
  ["rust-v0.169.0", "0.169.0"],
  ["v0.169.0", "0.169.0"],
  ["0.169.0", "0.169.0"],
  ["rust-v0.170.0-alpha.3", "0.170.0-alpha.3"],
]);
const NO_TAGS = [
  "",
  "latest",
  "rust-0.169",
  "v1.2.3 ",
  "1.2.3; true",
  "--prefix=/1.2.3",
  "1.2.3-",
  "1.2.3\n",
];

const BINDINGS = "checkout/src/bindings";

test("a release is synced, then there is nothing to do, then a foreign change blocks", async () => {
  const box = await makeBox();
  await writeFiles(box.workspace, {
    [`${BINDINGS}/AuthMode.ts`]: "old",
    [`${BINDINGS}/gone/Gone.ts`]: "gone",
    "checkout/README.md": "stays",
  });
  await git(box, "add", "--all");
  await git(box, "commit", "--quiet", "--message", "older bindings");

  const first = await runStep(box);
  expect(first.status).toBe("changed");
  expect(first.artifacts).toMatchObject({
    version: INSTALLED,
    directory: "src/bindings",
    files: { changed: ["AuthMode.ts"], removed: ["gone/Gone.ts"] },
  });
  expect(first.artifacts).not.toHaveProperty("commit");
  const files = await readdir(join(box.workspace, BINDINGS), { recursive: true });
  expect(files).toContain("v2/ThreadStartParams.ts");
  expect(files).not.toContain("gone");
  expect(first.artifacts?.files.added).toHaveLength(first.artifacts?.counts.added ?? -1);
  expect(await readFile(join(box.checkout, "README.md"), "utf8")).toBe("stays");
  expect(await git(box, "log", "--format=%s")).not.toContain("Sync");

  expect(await runStep(box)).toMatchObject({ status: "skipped" });

  await writeFile(join(box.checkout, "note.txt"), "");
  const blocked = await runStep(box);
  expect(blocked.status).toBe("blocked");
  expect(blocked.message).toContain("uncommitted changes: note.txt");
});

test("with config.commit the sync is one commit, by git's identity, that leaves the checkout clean", async () => {
  const box = await makeBox();
  const { status, artifacts } = await runStep(box, { commit: true });
  expect(status).toBe("changed");
  expect(await git(box, "log", "-1", "--format=%H %an %s")).toBe(
    `${artifacts?.commit ?? ""} Test Sync app-server bindings with Codex ${INSTALLED}`,
  );
  expect(await git(box, "status", "--porcelain")).toBe("");
  expect(await runStep(box, { commit: true })).toMatchObject({ status: "skipped" });

  await writeFile(join(box.workspace, BINDINGS, "AuthMode.ts"), "edited by hand");
  const blocked = await runStep(box, { commit: true });
  expect(blocked).toMatchObject({ status: "blocked" });
  expect(blocked.message).toContain("src/bindings/AuthMode.ts");
  expect(await readFile(join(box.workspace, BINDINGS, "AuthMode.ts"), "utf8")).toBe("edited by hand");
});

test("what an interrupted run had synced is committed by the next one", async () => {
  const box = await makeBox();
  await runStep(box);
  const { status, artifacts } = await runStep(box, { commit: true });
  expect(status).toBe("changed");
  expect(artifacts).toMatchObject({ counts: { added: 0, changed: 0, removed: 0 } });
  expect(await git(box, "rev-parse", "HEAD")).toBe(artifacts?.commit);
  expect(await git(box, "status", "--porcelain")).toBe("");
});

test("a commit that git refuses fails with git's words", async () => {
  const box = await makeBox();
  await writeFile(join(box.env["HOME"] ?? "", ".gitconfig"), "[user]\n  useConfigOnly = true\n");
  const { status, message } = await runStep(box, { commit: true });
  expect(status).toBe("failed");
  expect(message).toContain("Author identity unknown");
});

describe("it is blocked, and writes nothing, when", () => {
  test("the checkout is not there, no repository, or a plain folder of another one", async () => {
    const box = await makeBox();
    await mkdir(join(box.checkout, "folder"));
    await mkdir(join(box.workspace, "plain"));
    for (const [checkout, words] of [
      ["nowhere", "there is no checkout at"],
      ["plain", "not a git repository"],
      ["checkout/folder", "is not the top of a git checkout"],
    ] as const) {
      const { status, message } = await runStep(box, { checkout });
      expect(status).toBe("blocked");
      expect(message).toContain(words);
    }
    expect(await readdir(join(box.checkout, "folder"))).toEqual([]);
  });
});

describe("it fails, and writes nothing, when", () => {
  test.each(["", ".", "../elsewhere", "a/../../elsewhere", "/tmp/elsewhere", ".git/hooks", 1])(
    "config.directory is %j",
    async (directory) => {
      const box = await makeBox();
      const { status, message } = await runStep(box, { directory });
      expect(status).toBe("failed");
      expect(message).toContain("config.directory must");
      expect(await git(box, "status", "--porcelain")).toBe("");
    },
  );

  test("config.directory leads elsewhere through a symbolic link", async () => {
    const box = await makeBox();
    const outside = await temporaryFolder();
    await symlink(outside, join(box.checkout, "linked"));
    expect(await runStep(box, { directory: "linked/bindings" })).toMatchObject({ status: "failed" });
    expect(await readdir(outside)).toEqual([]);
  });

  test("the tag is no release tag", async () => {
    expect(await runStep(await makeBox(), {}, { tag: "nightly" })).toMatchObject({ status: "failed" });
  });
});

test("the payload cannot choose where to write", async () => {
  const box = await makeBox();
  const elsewhere = join(box.workspace, "elsewhere");
  await mkdir(elsewhere);
  await git({ ...box, checkout: elsewhere }, "init", "--quiet");
  const { status } = await runStep(box, {}, { checkout: "elsewhere", directory: "../x", config: {} });
  expect(status).toBe("changed");
  expect(await readdir(elsewhere)).toEqual([".git"]);
});

describe("another version than the installed one", () => {
  test("is installed by npm once, then taken from the cache, where it replaces an older one", async () => {
    const box = await makeBox();
    const registry = await startRegistry("9.9.9");
    await useRegistry(box, registry.url);
    const cache = join(box.workspace, "cache/codex-flow/codex");
    await writeFiles(cache, { "9.9.7/complete": "", "9.9.8/package.json": "{}" });
    const first = await runStep(box, { commit: true }, { tag: "v9.9.9" });
    expect(first).toMatchObject({
      status: "changed",
      artifacts: { version: "9.9.9", files: { added: ["Only.ts"] } },
    });
    expect(await readFile(join(box.workspace, BINDINGS, "Only.ts"), "utf8")).toBe("home is private: true");
    // The older complete one is of no use any more; the other may be on its way in.
    expect((await readdir(cache)).sort()).toEqual(["9.9.8", "9.9.9"]);

    await registry.stop();
    expect(await runStep(box, {}, { tag: "9.9.9" })).toMatchObject({ status: "skipped" });
  });

  test("that npm does not have fails with npm's words", async () => {
    const box = await makeBox();
    const registry = await startRegistry("9.9.9");
    await useRegistry(box, registry.url);
    const { status, message } = await runStep(box, {}, { tag: "rust-v8.8.8" });
    expect(status).toBe("failed");
    expect(message).toContain("No matching version found for @openai/codex@8.8.8");
    expect(await readdir(join(box.workspace, "cache/codex-flow/codex"))).toEqual([]);
    expect(await git(box, "status", "--porcelain")).toBe("");
  });
});

/** What npm asks of a registry, for one version of a Codex that generates one file. */
async function startRegistry(version: string): Promise<{ url: string; stop: () => Promise<void> }> {
  const cli = `import { writeFileSync } from "node:fs";
const [, , server, command, flag, out] = process.argv;
if (server + command + flag !== "app-servergenerate-ts--out") process.exit(2);
const isPrivate = process.env.HOME === process.env.CODEX_HOME && process.env.XDG_CACHE_HOME === undefined;
writeFileSync(out + "/Only.ts", "home is private: " + isPrivate);
`;
  const source = await workspaceWith({
    "package.json": JSON.stringify({
      name: "@openai/codex",
      version,
      type: "module",
      bin: { codex: "bin/codex.js" },
    }),
    "bin/codex.js": cli,
  });
  await execa("npm", ["pack", "--pack-destination", source], { cwd: source });
  const tarball = await readFile(join(source, `openai-codex-${version}.tgz`));

  const server = createServer((request, response) => {
    if (request.url?.endsWith(".tgz") === true) return response.end(tarball);
    const { port } = server.address() as AddressInfo;
    const dist = {
      tarball: `http://127.0.0.1:${port}/codex.tgz`,
      integrity: `sha512-${createHash("sha512").update(tarball).digest("base64")}`,
    };
    const versions = { [version]: { name: "@openai/codex", version, bin: { codex: "bin/codex.js" }, dist } };
    return response.end(
      JSON.stringify({ name: "@openai/codex", "dist-tags": { latest: version }, versions }),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const stop = () =>
    new Promise<void>((resolve) => {
      server.close(() => {
        resolve();
      });
      server.closeAllConnections();
    });
  onTestFinished(stop);
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, stop };
}

async function useRegistry(box: Box, url: string): Promise<void> {
  await writeFile(join(box.env["HOME"] ?? "", ".npmrc"), `registry=${url}\nfetch-retries=0\n`);
  box.env["XDG_CACHE_HOME"] = join(box.workspace, "cache");
}

describe("the package", () => {
  test("has no fault, and takes releases of openai/codex with a release tag only", async () => {
    const workspace = await temporaryFolder();
    await cp(join(REPOSITORY, "flows"), join(workspace, "flows"), { recursive: true });
    const { packages, faults } = await loadCatalog(workspace);
    expect(faults).toEqual([]);
    const schema = packages.find(({ flow }) => flow.name === "openai-codex-bindings")?.schemas["sync"]
      ?.compilable;
    if (schema === undefined) throw new Error("the flow or its schema is missing");
    const takes = compileTrigger(schema);
    for (const tag of TAGS.keys()) expect(takes({ repo: "openai/codex", tag })).toBe(true);
    for (const tag of NO_TAGS) expect(takes({ repo: "openai/codex", tag })).toBe(false);
    expect(takes({ repo: "openai/codex" })).toBe(false);
    expect(takes({ repo: "evil/codex", tag: "v0.169.0" })).toBe(false);
  });

  test("reads the version of a tag, and none where there is none", () => {
    for (const [tag, version] of TAGS) expect(versionOfTag(tag)).toBe(version);
    for (const tag of NO_TAGS) expect(versionOfTag(tag)).toBeUndefined();
  });
});

test("a difference, carried out, makes one folder hold exactly the files of the other", async () => {
  const name = fc.constantFrom("a", "b", "c");
  const path = fc.array(name, { minLength: 1, maxLength: 3 }).map((names) => names.join("/"));
  // A path that is a folder of another one cannot be a file too.
  const tree = fc
    .dictionary(path, fc.constantFrom("1", "2"), { maxKeys: 6 })
    .map((files) =>
      Object.fromEntries(
        Object.entries(files).filter(
          ([at]) => !Object.keys(files).some((other) => other.startsWith(`${at}/`)),
        ),
      ),
    );
  await fc.assert(
    fc.asyncProperty(tree, tree, async (before, wanted) => {
      const from = await workspaceWith(wanted);
      const to = await workspaceWith(before);
      await applyDifference(differenceOf(await readTree(to), await readTree(from)), from, to);
      expect(await readTree(to)).toEqual(await readTree(from));
      expect(differenceOf(await readTree(to), await readTree(from))).toEqual({
        added: [],
        changed: [],
        removed: [],
      });
    }),
    { numRuns: 60 },
  );
});

test("a link in the folder of bindings is replaced, never written through", async () => {
  const outside = await workspaceWith({ "a.ts": "outside" });
  const from = await workspaceWith({ "a.ts": "new", "b/c.ts": "new" });
  const to = await temporaryFolder();
  await symlink(join(outside, "a.ts"), join(to, "a.ts"));
  await symlink(outside, join(to, "b"));
  await applyDifference(differenceOf(await readTree(to), await readTree(from)), from, to);
  expect(await readFile(join(to, "a.ts"), "utf8")).toBe("new");
  expect(await readFile(join(to, "b/c.ts"), "utf8")).toBe("new");
  expect(await readFile(join(outside, "a.ts"), "utf8")).toBe("outside");
  expect(await readdir(outside)).toEqual(["a.ts"]);
});
