/**
 * Loads the flow packages of a workspace: found, read, checked, with the digest of their files. The build and the
 * runner agent both start here.
 *
 * A broken package costs itself and nothing else: it gives faults, and the others are loaded. A broken package of an
 * earlier root still shadows those of its name, so that an edit that goes wrong never brings an old copy back.
 */
import { lstat, realpath, stat } from "node:fs/promises";
import { dirname, isAbsolute, join, posix, relative, sep } from "node:path";
import {
  type Flow,
  type FlowManifest,
  type PackageFile,
  resolveManifest,
} from "../contract/flow-manifest.ts";
import { PACKAGE_FILES_MAX, PACKAGE_FILES_MAX_BYTES } from "../contract/limits.ts";
import { type DigestedFiles, digestFiles } from "./digest.ts";
import { discoverPackages, type PackageFolder } from "./discover.ts";
import { hasErrorCode, type PackageFault } from "./fault.ts";
import { type ManifestReading, type NamedFile, readManifest } from "./manifest.ts";
import { isOutsideDigest, listAllFiles, listPackageFiles } from "./package-files.ts";
import { readTextFile } from "./text-file.ts";
import type { SchemaFiles } from "./schema-documents.ts";
import {
  type CompilableSchema,
  parseSchema,
  readTriggerSchema,
  type TriggerSchema,
} from "./trigger-schema.ts";

/** The trigger schema of a step. */
export interface StepSchema {
  file: string;
  schema: TriggerSchema;
  compilable: CompilableSchema;
  /** Its own file and those that it refers to, relative to the package. */
  paths: string[];
}

/** A package that can be run. */
export interface LoadedPackage extends PackageFolder {
  flow: Flow;
  /** `[config]` of the manifest, as JSON. */
  config: Record<string, unknown> | undefined;
  /** By the name of the step; steps without a trigger schema are not in it. */
  schemas: Partial<Record<string, StepSchema>>;
  /** The files that belong to the package, sorted by path; `flow.digest` covers them. */
  files: PackageFile[];
}

/** A package that is not used, because an earlier one has its name. */
export interface ShadowedPackage extends PackageFolder {
  name: string;
  /** Root of the package that is used instead. */
  by: string;
}

/** In the order of discovery: roots in their order, folders sorted within each. */
export interface Catalog {
  packages: LoadedPackage[];
  faults: PackageFault[];
  shadowed: ShadowedPackage[];
}

/** Reads every package of the workspace. Throws only when a root itself cannot be read. */
export async function loadCatalog(workspace: string, roots?: readonly string[]): Promise<Catalog> {
  const candidates = await Promise.all((await discoverPackages(workspace, roots)).map(readCandidate));
  const { first, shadowed, faults } = firstOfEachName(candidates);
  const outcomes = await Promise.all(first.map(finish));
  return {
    packages: outcomes.flatMap((outcome) => ("flow" in outcome ? [outcome] : [])),
    faults: [...outcomes.flatMap((outcome) => ("faults" in outcome ? outcome.faults : [])), ...faults],
    shadowed,
  };
}

interface Candidate {
  folder: PackageFolder;
  reading: ManifestReading;
}

async function readCandidate(folder: PackageFolder): Promise<Candidate> {
  const { manifestPath } = folder;
  try {
    if ((await lstat(manifestPath)).isFile())
      return { folder, reading: readManifest(await readTextFile(manifestPath), manifestPath) };
    return { folder, reading: unreadable(manifestPath, "must be a regular file") };
  } catch (error) {
    return { folder, reading: unreadable(manifestPath, `cannot be read: ${reasonOf(error)}`) };
  }
}

function unreadable(file: string, message: string): ManifestReading {
  const fault: PackageFault = { file, line: 1, column: 1, path: "", message };
  return { faults: [fault], files: [], faultAt: () => fault };
}

/**
 * A package of an earlier root shadows those of its name in later ones on purpose. Two of one name in the same root are
 * a mistake: which of them is used would depend on the names of their folders.
 */
function firstOfEachName(candidates: Candidate[]): {
  first: Candidate[];
  shadowed: ShadowedPackage[];
  faults: PackageFault[];
} {
  const faults: PackageFault[] = [];
  const owners = new Map<string, string>();
  const first: Candidate[] = [];
  const shadowed: ShadowedPackage[] = [];
  for (const candidate of candidates) {
    const { name } = candidate.reading;
    const by = name === undefined ? undefined : owners.get(name);
    if (name !== undefined && by !== undefined) {
      shadowed.push({ ...candidate.folder, name, by });
      if (dirname(by) === dirname(candidate.folder.root))
        faults.push(
          candidate.reading.faultAt(
            "/name",
            `${name} is already the name of the package in ${by}: rename one of the two, or remove it`,
          ),
        );
    } else {
      first.push(candidate);
      if (name !== undefined) owners.set(name, candidate.folder.root);
    }
  }
  return { first, shadowed, faults };
}

async function finish({ folder, reading }: Candidate): Promise<LoadedPackage | { faults: PackageFault[] }> {
  const faults = [...reading.faults];
  const schemas = new Map<string, StepSchema>();
  const readSchemas = new Set<string>();
  try {
    for (const named of reading.files) {
      const found = await findInPackage(folder.root, named);
      if ("problem" in found) faults.push(reading.faultAt(named.pointer, found.problem));
      else if (named.use === "schema" && !readSchemas.has(named.path)) {
        readSchemas.add(named.path);
        const path = posix.normalize(named.path);
        const text = await readTextFile(found.file);
        const read = await readTriggerSchema({ text, path, file: found.file }, schemaFiles(folder.root));
        if ("schema" in read) schemas.set(named.path, { file: found.file, ...read });
        else faults.push(...read.faults);
      }
    }
    if (reading.manifest !== undefined && faults.length === 0)
      return await loaded(folder, reading, reading.manifest, schemas);
  } catch (error) {
    faults.push(reading.faultAt("", `the package cannot be read: ${reasonOf(error)}`));
  }
  return { faults: inOrder(faults, folder.manifestPath) };
}

/** The other schemas of a package, as its digest covers them. */
function schemaFiles(root: string): SchemaFiles {
  return {
    list: async () => (await listAllFiles(root)).filter((path) => path.endsWith(".json")),
    read: async (path) => {
      const found = await findInPackage(root, { path });
      if ("problem" in found) return undefined;
      const text = await readTextFile(found.file);
      const parsed = parseSchema(text, found.file);
      return "schema" in parsed ? { path, file: found.file, text, schema: parsed.schema } : undefined;
    },
  };
}

async function loaded(
  folder: PackageFolder,
  reading: ManifestReading,
  manifest: FlowManifest,
  schemas: Map<string, StepSchema>,
): Promise<LoadedPackage | { faults: PackageFault[] }> {
  const { digest, files } = await filesOf(folder.root, reading, manifest, schemas);
  if (files.length > PACKAGE_FILES_MAX || Buffer.byteLength(JSON.stringify(files)) > PACKAGE_FILES_MAX_BYTES)
    return {
      faults: [
        reading.faultAt(
          "",
          `the package has ${files.length} files, and their list may have ${PACKAGE_FILES_MAX} entries and ${PACKAGE_FILES_MAX_BYTES} bytes: name those that belong to it in files, such as files = ["exec", "schemas"]`,
        ),
      ],
    };
  const byStep: LoadedPackage["schemas"] = {};
  for (const { name, trigger } of manifest.steps) {
    const schema = trigger?.schema === undefined ? undefined : schemas.get(trigger.schema);
    if (schema !== undefined) byStep[name] = schema;
  }
  return {
    ...folder,
    flow: resolveManifest(manifest, digest),
    config: manifest.config,
    schemas: byStep,
    files,
  };
}

/** The files that the manifest names, and the documents of their schemas, belong to the package in any case. */
async function filesOf(
  root: string,
  reading: ManifestReading,
  manifest: FlowManifest,
  schemas: Map<string, StepSchema>,
): Promise<DigestedFiles> {
  const named = [
    ...reading.files.map(({ path }) => posix.normalize(path)),
    ...[...schemas.values()].flatMap(({ paths }) => paths),
  ];
  return await digestFiles(root, await listPackageFiles(root, { globs: manifest.files, named }));
}

/** A file that a manifest names, or what is wrong with it. It must be one whose changes the digest sees. */
async function findInPackage(
  root: string,
  { path }: Pick<NamedFile, "path">,
): Promise<{ file: string } | { problem: string }> {
  const file = join(root, path);
  try {
    const inPackage = relative(await realpath(root), await realpath(file));
    if (inPackage === ".." || inPackage.startsWith(`..${sep}`) || isAbsolute(inPackage))
      return { problem: `leads out of the package through a symbolic link: ${path}` };
    if (!(await stat(file)).isFile()) return { problem: `is not a file: ${path}` };
    const hidden = [...relative(root, file).split(sep), ...inPackage.split(sep)].find(isOutsideDigest);
    if (hidden !== undefined)
      return { problem: `must not lie in ${hidden}: the digest of a package leaves it out` };
    return { file };
  } catch (error) {
    if (hasErrorCode(error, "ENOENT", "ENOTDIR"))
      return {
        problem: `no such file in the package: ${path}; make it, or correct the path, which begins at the folder of flow.toml`,
      };
    throw error;
  }
}

/** As they stand in the manifest, then the schemas. */
function inOrder(faults: PackageFault[], manifestPath: string): PackageFault[] {
  return faults.sort(
    (a, b) =>
      Number(a.file !== manifestPath) - Number(b.file !== manifestPath) ||
      (a.file < b.file ? -1 : a.file > b.file ? 1 : a.line - b.line || a.column - b.column),
  );
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
