/**
 * The files that a trigger schema consists of: the one that the step names, and those of the package that its `$ref`s
 * lead to. Nothing is fetched: a reference to a file that is not in the package is a fault.
 */
import { posix } from "node:path";
import type { PackageFault } from "./fault.ts";
import { locateJson } from "./json-positions.ts";
import { identityOf, type Keyword, keywordsOf, resolveUri, splitFragment } from "./schema-walk.ts";

/** A parsed JSON Schema: a table of keywords, or a boolean that accepts everything or nothing. */
export type TriggerSchema = Record<string, unknown> | boolean;

/** A file with a JSON Schema. */
export interface SchemaFile {
  /** Relative to the package, with "/". */
  path: string;
  /** Absolute path, for the faults. */
  file: string;
  text: string;
  schema: TriggerSchema;
}

/** How a schema finds the other files of its package. */
export interface SchemaFiles {
  /** undefined when the package has no such file, or none that may belong to it. */
  read: (path: string) => Promise<SchemaFile | undefined>;
  /** Paths of all JSON files of the package. */
  list: () => Promise<string[]>;
}

/** A schema with the absolute URI that references lead to. */
export interface SchemaDocument {
  uri: string;
  schema: TriggerSchema;
}

/** A document as it was read. */
export interface ReadDocument extends SchemaDocument {
  source: SchemaFile;
}

const META_SCHEMAS = [
  "http://json-schema.org/draft-07/schema",
  "https://json-schema.org/draft/2020-12/schema",
];
const IS_REFERENCE = new Set(["$ref", "$dynamicRef"]);
const IS_META = /^https?:\/\/json-schema\.org\/draft\//;

/** The documents of a schema, the first one being its own. */
export async function gatherDocuments(
  first: SchemaFile,
  files: SchemaFiles,
): Promise<{ documents: ReadDocument[] } | { faults: PackageFault[] }> {
  const loaded: LoadedFile[] = [loadedFile(first)];
  const faults: PackageFault[] = [];
  for (const one of loaded) {
    for (const keyword of one.references) {
      const target = resolveUri(String(keyword.value), keyword.base);
      if (target !== undefined && isKnown(splitFragment(target).document, loaded)) continue;
      const found = await findFile(String(keyword.value), target, one, files);
      if (found === undefined) {
        faults.push(missing(one.source, keyword));
        continue;
      }
      let other = loaded.find(({ source }) => source.path === found.path);
      if (other === undefined) loaded.push((other = loadedFile(found)));
      if (target !== undefined && isKnown(splitFragment(target).document, loaded)) continue;
      // The file is called otherwise than the reference says: let the reference say what the file is called.
      keyword.owner[keyword.name] = other.uri + splitFragment(String(keyword.value)).fragment;
    }
  }
  if (faults.length > 0) return { faults };
  return { documents: loaded.map(({ uri, schema, source }) => ({ uri, schema, source })) };
}

interface LoadedFile extends ReadDocument {
  references: Keyword[];
  /** URIs of the schema and of those in it. */
  identities: Set<string>;
}

/** A copy of the schema, with an absolute URI. */
function loadedFile(source: SchemaFile): LoadedFile {
  const schema = structuredClone(source.schema);
  const place = `file:///${source.path.split("/").map(encodeURIComponent).join("/")}`;
  const uri = (typeof schema === "object" ? identityOf(schema, place) : undefined) ?? place;
  if (typeof schema === "object" && schema["$id"] !== undefined && uri !== place) schema["$id"] = uri;
  const keywords = [...keywordsOf(schema, place)];
  return {
    source,
    uri,
    schema,
    references: keywords.filter(({ name, value }) => IS_REFERENCE.has(name) && typeof value === "string"),
    identities: new Set([uri, ...keywords.map(({ base }) => base)]),
  };
}

function isKnown(document: string, loaded: LoadedFile[]): boolean {
  return (
    META_SCHEMAS.includes(document) ||
    document.startsWith("https://json-schema.org/draft/2020-12/meta/") ||
    loaded.some(({ identities }) => identities.has(document))
  );
}

/** Finds a file by its path from the file that refers to it, by the path in its URI, or by its `$id`. */
async function findFile(
  reference: string,
  target: string | undefined,
  from: LoadedFile,
  files: SchemaFiles,
): Promise<SchemaFile | undefined> {
  if (IS_META.test(reference)) return undefined;
  const written = splitFragment(reference).document;
  const uri = target === undefined ? undefined : splitFragment(target).document;
  const folder = posix.dirname(from.source.path);
  const uriFolder = from.uri.slice(0, from.uri.lastIndexOf("/") + 1);
  const paths = [
    ...(URL.canParse(written) ? [] : [posix.join(folder, decoded(written))]),
    ...(uri?.startsWith(uriFolder) === true
      ? [posix.join(folder, decoded(uri.slice(uriFolder.length)))]
      : []),
  ];
  for (const path of paths) {
    const found = await files.read(path);
    if (found !== undefined) return found;
  }
  for (const path of await files.list()) {
    const candidate = await files.read(path);
    const id =
      typeof candidate?.schema === "object" && typeof candidate.schema["$id"] === "string"
        ? splitFragment(candidate.schema["$id"]).document
        : undefined;
    if (id !== undefined && (id === written || id === uri)) return candidate;
  }
  return undefined;
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

function missing({ file, text }: SchemaFile, { value, pointer }: Keyword): PackageFault {
  return {
    file,
    ...locateJson(text)(pointer),
    path: pointer,
    message: `refers to ${String(value)}, which is not a file of the package: put it there, for nothing is fetched`,
  };
}
