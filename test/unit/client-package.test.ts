/**
 * `codex-flow-edge/client` as a product gets it: the built package, found by its name. Browsers and Workers get the
 * half without Node, Node and Bun get both modes. Needs the build.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { text as readAll } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { build, type BuildOptions } from "esbuild";
import { describe, expect, onTestFinished, test } from "vitest";
import { workspaceWith } from "../support/flow-workspace.ts";
import { nodePackage, RAW } from "../support/local-flows.ts";

const PROJECT = fileURLToPath(new URL("../..", import.meta.url));
/** A client with all it needs for HTTP; tens of kilobytes would mean that local mode has come along. */
const HTTP_CLIENT_MAX_BYTES = 12 * 1024;

/** A folder whose node_modules hold this package. */
async function product(files: Record<string, string> = {}): Promise<string> {
  const folder = await workspaceWith(files);
  await mkdir(join(folder, "node_modules"));
  await symlink(PROJECT, join(folder, "node_modules/codex-flow-edge"));
  return folder;
}

async function bundled(contents: string, options: BuildOptions) {
  const resolveDir = await product();
  const { outputFiles = [], metafile } = await build({
    stdin: { contents, resolveDir },
    bundle: true,
    minify: true,
    write: false,
    metafile: true,
    format: "esm",
    logLevel: "silent",
    ...options,
  });
  const imports = Object.values(metafile?.outputs ?? {}).flatMap((output) =>
    output.imports.map(({ path }) => path),
  );
  return { text: outputFiles[0]?.text ?? "", inputs: Object.keys(metafile?.inputs ?? {}), imports };
}

const ALL = 'export * from "codex-flow-edge/client"';
const PLACES: Array<[string, BuildOptions]> = [
  ["a browser", { platform: "browser" }],
  ["a Worker", { platform: "neutral", conditions: ["workerd", "worker", "browser"] }],
  [
    "a Worker with node's modules",
    { platform: "neutral", conditions: ["workerd", "worker", "browser", "node"] },
  ],
  ["whatever else", { platform: "neutral" }],
];

describe.each(PLACES)("in a bundle for %s", (_name, options) => {
  test("no import of Node or of a package is left, and nothing of local mode", async () => {
    const { inputs, imports } = await bundled(ALL, options);
    expect(imports).toEqual([]);
    expect(inputs.filter((path) => !path.startsWith("<"))).toEqual([
      expect.stringMatching(/dist\/client\/index\.js$/),
    ]);
  });

  test("local mode says at once that there is none here", async () => {
    const { text } = await bundled(
      `${ALL}; export { createFlowClient as make } from "codex-flow-edge/client"`,
      options,
    );
    const loaded = (await import(`data:text/javascript,${encodeURIComponent(text)}`)) as {
      make: (options: unknown) => unknown;
    };
    expect(() => loaded.make({ mode: "local" })).toThrow(
      expect.objectContaining({ code: "local_mode_unavailable", name: "FlowModeError" }) as Error,
    );
    expect(() => loaded.make({ mode: "http", baseUrl: "https://flows.example" })).not.toThrow();
  });

  test("createFlowBackendHttpClient alone stays small", async () => {
    const { text } = await bundled(
      'export { createFlowBackendHttpClient } from "codex-flow-edge/client"',
      options,
    );
    expect(text.length).toBeLessThan(HTTP_CLIENT_MAX_BYTES);
    expect(text).not.toContain("local_mode_unavailable");
  });
});

const bunProgram = join(dirname(createRequire(import.meta.url).resolve("bun/package.json")), "bin/bun.exe");

describe.each([
  ["Node", process.execPath],
  ["Bun", bunProgram],
])("under %s", (_name, program) => {
  const run = async (cwd: string, source: string) => {
    await writeFile(join(cwd, "product.mjs"), source);
    const child = spawn(program, ["product.mjs"], { cwd, stdio: ["ignore", "pipe", "pipe"] });
    onTestFinished(() => void child.kill("SIGKILL"));
    const [out, err] = await Promise.all([readAll(child.stdout), readAll(child.stderr), once(child, "exit")]);
    if (err !== "") throw new Error(err);
    return JSON.parse(out) as unknown;
  };

  test.each([["memory"], ["file"]])(
    "the package runs bun and node steps locally, with %s state",
    async (kind) => {
      const greet = nodePackage(
        "greet",
        `${RAW} result({ status: "completed", message: "from " + (process.versions.bun ? "bun" : "node") });`,
      );
      const cwd = await product({
        ...greet,
        "flows/bunny/flow.toml": `name = "bunny"\nversion = 1\n[[steps]]\nname = "run"\nrunner = "bun"\nscript = "exec/run.ts"\n[steps.trigger]\ntype = "greet.event"\n`,
        "flows/bunny/exec/run.ts":
          "export default () => { console.log('hello'); return { status: 'changed', message: 'from ' + (Bun ? 'bun' : 'node') }; };",
      });
      const answer = await run(
        cwd,
        `import { createFlowClient } from "codex-flow-edge/client";
       const client = createFlowClient({ mode: "local", state: { kind: "${kind}" } });
       const { runs } = await client.dispatchEvent({ id: "g:1", type: "greet.event" });
       const again = await client.dispatchEvent({ id: "g:1", type: "greet.event" });
       const { output } = await client.getRun(runs[0].id);
       console.log(JSON.stringify([runs.map((run) => run.resultPayload), again.idempotent, output.length > 0]));`,
      );
      expect(answer).toEqual([
        [
          { status: "changed", message: "from bun" },
          { status: "completed", message: "from node" },
        ],
        true,
        true,
      ]);
    },
  );

  test("the package has the names that browsers get, and no other", async () => {
    const cwd = await product();
    const answer = await run(
      cwd,
      `import * as client from "codex-flow-edge/client";
       client.createFlowClient({ mode: "http", baseUrl: "https://flows.example" });
       console.log(JSON.stringify(Object.keys(client).sort()));`,
    );
    expect(answer).toEqual([
      "EdgeAnswerError",
      "EdgeTimeoutError",
      "EdgeUnreachableError",
      "EdgeUrlError",
      "FlowBackendError",
      "FlowModeError",
      "FlowOptionError",
      "createFlowBackendHttpClient",
      "createFlowClient",
    ]);
  });
});

test("what Node loads for http mode imports nothing of Node and no package by itself", async () => {
  const { metafile } = await build({
    entryPoints: [join(PROJECT, "dist/client/node.js")],
    bundle: true,
    splitting: true,
    outdir: "out",
    write: false,
    metafile: true,
    format: "esm",
    platform: "node",
    packages: "external",
    logLevel: "silent",
  });
  const entry = Object.values(metafile.outputs).find(({ entryPoint }) =>
    entryPoint?.endsWith("client/node.js"),
  );
  const atOnce = (entry?.imports ?? []).filter(
    ({ kind, external }) => kind === "import-statement" && external === true,
  );
  expect(atOnce.map(({ path }) => path)).toEqual([]);
});
