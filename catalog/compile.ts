/**
 * Compiles the flow packages of a workspace into one module that the Worker is built with: the flows, and a
 * validator for each trigger schema. The edge may generate no code at run time, so all of it happens here.
 *
 * Never lets a broken package through, and never touches the file when nothing has changed: a dev server watches it.
 */
import { build } from "esbuild";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { stepKey } from "../contract/matching.ts";
import { BrokenPackagesError, hasErrorCode, type PackageFault } from "./fault.ts";
import { type Catalog, loadCatalog, type LoadedPackage } from "./load.ts";
import { type CompilableSchema, triggerCode } from "./trigger-schema.ts";

const HERE = dirname(fileURLToPath(import.meta.url));
const NOTICE = "// Generated from the flow packages; changed by changing them.";

/**
 * Writes the catalog module of a workspace to `outFile` (.js or .mjs), and its types beside it.
 *
 * The module exports `flows`, an array of `Flow` in order of discovery without their config, `packageFiles`, the files of
 * each by its name, and `validators`, ajv's
 * functions by "flow/step" (they return whether a payload is valid and leave the first of its `errors` on themselves,
 * their `thorough` ones all). It imports nothing. `changed` says whether a file was written. Throws BrokenPackagesError with
 * every fault of every package; with `leaveOutBroken` it compiles the packages that have no fault and returns the faults.
 */
export async function compileCatalog(
  workspace: string,
  outFile: string,
  options: { leaveOutBroken?: boolean } = {},
): Promise<{ flows: number; changed: boolean; faults: PackageFault[] }> {
  return await writeCatalog(await loadCatalog(workspace), workspace, outFile, options);
}

/** `compileCatalog` of packages that are loaded already. */
export async function writeCatalog(
  { packages, faults }: Catalog,
  workspace: string,
  outFile: string,
  { leaveOutBroken = false }: { leaveOutBroken?: boolean } = {},
): Promise<{ flows: number; changed: boolean; faults: PackageFault[] }> {
  if (faults.length > 0 && !leaveOutBroken) throw new BrokenPackagesError(faults, workspace);
  const moduleChanged = await writeIfChanged(outFile, await bundle(catalogSource(packages)));
  const typesChanged = await writeIfChanged(outFile.replace(/\.(m?)js$/, ".d.$1ts"), catalogTypes(outFile));
  return { flows: packages.length, changed: moduleChanged || typesChanged, faults };
}

/** The module before bundling: it still requires ajv's run-time helpers. */
function catalogSource(packages: LoadedPackage[]): string {
  const functions = new Map<string, string>();
  const definitions: string[] = [];
  const validators: string[] = [];
  for (const { flow, schemas } of packages)
    for (const { name } of flow.steps) {
      const schema = schemas[name]?.compilable;
      if (schema === undefined) continue;
      const content = JSON.stringify(schema.documents.map((document) => document.schema));
      const known = functions.get(content);
      const identifier = known ?? `validator${functions.size}`;
      if (known === undefined) {
        functions.set(content, identifier);
        definitions.push(`const ${identifier} = ${validatorExpression(schema)};`);
      }
      validators.push(`${JSON.stringify(stepKey(flow.name, name))}: ${identifier}`);
    }
  return [
    'import { withBudget } from "./payload-checks.ts";',
    ...definitions,
    `export const flows = ${JSON.stringify(packages.map(({ flow }) => flow))};`,
    `export const packageFiles = ${JSON.stringify(Object.fromEntries(packages.map(({ flow, files }) => [flow.name, files])))};`,
    `export const validators = { ${validators.join(", ")} };`,
  ].join("\n");
}

/**
 * A validator that stops at the first fault, with one beside it that names them all: of a large payload those may take
 * a hundred times its size.
 */
function validatorExpression(schema: CompilableSchema): string {
  return `Object.assign(${validatorCode(schema, false)}, { thorough: ${validatorCode(schema, true)} })`;
}

/** The code is a CommonJS module whose names recur in the next one, so each gets a function of its own. */
function validatorCode(schema: CompilableSchema, allErrors: boolean): string {
  const code = triggerCode(schema, { allErrors });
  return `withBudget((() => { const module = { exports: {} }; ${code}\nreturn module.exports; })())`;
}

async function bundle(source: string): Promise<string> {
  const { outputFiles } = await build({
    // The bundled command line runs from dist/, beside which this folder is.
    stdin: { contents: source, resolveDir: join(HERE, "..", "catalog"), loader: "js" },
    bundle: true,
    write: false,
    minify: true,
    format: "esm",
    platform: "neutral",
    mainFields: ["main"],
    target: "es2022",
    banner: { js: NOTICE },
    legalComments: "none",
    logLevel: "silent",
  });
  const [output] = outputFiles;
  if (output === undefined) throw new Error("esbuild gave no output for the flow catalog");
  return output.text;
}

function catalogTypes(outFile: string): string {
  const manifest = relative(dirname(resolve(outFile)), join(HERE, "..", "contract", "flow-manifest.ts"));
  return `${NOTICE}
import type { Flow, PackageFile } from ${JSON.stringify(manifest.split(sep).join("/"))};

export interface CompiledValidator {
  (payload: unknown): boolean;
  /** Of the last call; null when that payload was valid. */
  errors?:
    | { instancePath: string; schemaPath: string; keyword: string; params: Record<string, unknown>; message?: string }[]
    | null;
  /** The same, but goes on behind the first fault. */
  thorough?: CompiledValidator;
}

export const flows: Flow[];
/** The files of each package, by the name of its flow. */
export const packageFiles: Record<string, PackageFile[]>;
/** By "flow/step"; a step without a schema has none. */
export const validators: Record<string, CompiledValidator>;
`;
}

/** Whoever reads the file meanwhile sees the old content or the new one, never a part. */
async function writeIfChanged(file: string, content: string): Promise<boolean> {
  if ((await readIfPresent(file)) === content) return false;
  await mkdir(dirname(file), { recursive: true });
  const temporary = `${file}.${process.pid}.tmp`;
  try {
    await writeFile(temporary, content);
    await rename(temporary, file);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  return true;
}

async function readIfPresent(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    if (hasErrorCode(error, "ENOENT")) return undefined;
    throw error;
  }
}
