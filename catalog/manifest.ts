/**
 * Reads the text of a flow.toml and says every fault in it with its position. Pure: the files that a manifest names
 * are the business of load.ts.
 */
import { Ajv, type ErrorObject } from "ajv";
import { parse, TomlError } from "smol-toml";
import { FlowManifest } from "../contract/flow-manifest.ts";
import type { PackageFault } from "./fault.ts";
import { keyPath, type Locate, locateToml, pointerSegment } from "./toml-positions.ts";

/** What a manifest's text says. It is valid when `faults` is empty; the rest is what could be read all the same. */
export interface ManifestReading {
  /** The flow's name when it can be told, so that a broken package still shadows later ones of its name. */
  name?: string;
  /** Present when there is no fault. */
  manifest?: FlowManifest;
  faults: PackageFault[];
  /** The files that valid keys name, for whoever checks that they are there. */
  files: NamedFile[];
  /** A fault at a key, given by its JSON pointer. */
  faultAt: (pointer: string, message: string) => PackageFault;
}

/** A file that a step names. */
export interface NamedFile {
  /** JSON pointer of the key: "/steps/0/trigger/schema". */
  pointer: string;
  use: "script" | "schema";
  /** As written: relative to the package. */
  path: string;
}

const validate = new Ajv({ allErrors: true, verbose: true, allowUnionTypes: true }).compile<FlowManifest>(
  FlowManifest,
);

/** Reads a manifest. `file` is its path, for the faults. */
export function readManifest(text: string, file: string): ManifestReading {
  let toml: unknown;
  try {
    toml = parse(text, { unsafeKeyBehaviour: "throw" });
  } catch (error) {
    const fault = tomlFault(error, file);
    return { faults: [fault], files: [], faultAt: (_pointer, message) => ({ ...fault, message }) };
  }
  const faultAt = faultMaker(locateToml(text), file);
  // What a step gets is JSON, so that is what is checked: TOML's dates become their texts.
  const data: unknown = JSON.parse(JSON.stringify(toml));
  const complaints = new Map<string, string>();
  for (const { pointer, message } of [
    ...(validate(data) ? [] : (validate.errors ?? []).map(complain)),
    ...repeatedStepNames(data),
    ...contradictingPlaces(data),
    ...budgetsOfNothing(data),
    ...notFinite(toml, ""),
  ])
    if (!complaints.has(pointer)) complaints.set(pointer, message);

  const name = member(data, "name");
  return {
    ...(typeof name === "string" ? { name } : {}),
    ...(complaints.size === 0 ? { manifest: data as FlowManifest } : {}),
    faults: [...complaints].map(([pointer, message]) => faultAt(pointer, message)),
    files: namedFiles(data).filter(({ pointer }) => !complaints.has(pointer)),
    faultAt,
  };
}

interface Complaint {
  pointer: string;
  message: string;
}

function tomlFault(error: unknown, file: string): PackageFault {
  if (!(error instanceof TomlError)) throw error;
  // The rest of the message draws the line, which an editor shows better.
  const message = error.message.split("\n", 1)[0] ?? "";
  return { file, line: error.line, column: error.column, path: "", message };
}

function faultMaker(locate: Locate, file: string): ManifestReading["faultAt"] {
  return (pointer, message) => ({ file, ...locate(pointer), path: keyPath(pointer), message });
}

const TYPE_WORDS: Record<string, string> = {
  string: "a string",
  integer: "a whole number",
  number: "a number",
  array: "an array",
  object: "a table",
  "string,object": "a string or a table",
};

/** ajv's error in the words of someone who writes TOML. */
function complain(error: ErrorObject): Complaint {
  const pointer = error.instancePath;
  const params = error.params as Record<string, unknown>;
  const schema = (error.parentSchema ?? {}) as { properties?: object; description?: string };
  if (error.keyword === "required") {
    const missing = pointer + pointerSegment(String(params["missingProperty"]));
    return missing === "/steps" ? noSteps : { pointer: missing, message: "is required" };
  }
  if (pointer === "/steps" && ["type", "minItems"].includes(error.keyword)) return noSteps;
  switch (error.keyword) {
    case "additionalProperties":
      return {
        pointer: pointer + pointerSegment(String(params["additionalProperty"])),
        message: `is not a known key; allowed here: ${Object.keys(schema.properties ?? {}).join(", ")}`,
      };
    case "type":
      return { pointer, message: `must be ${TYPE_WORDS[String(params["type"])] ?? String(params["type"])}` };
    case "enum":
      return { pointer, message: `must be one of ${(params["allowedValues"] as unknown[]).join(", ")}` };
    case "pattern":
      return { pointer, message: `must be of the form: ${formOf(schema.description, params)}` };
    default:
      return { pointer, message: error.message ?? "is not valid" };
  }
}

function formOf(description: string | undefined, params: Record<string, unknown>): string {
  if (description === undefined) return String(params["pattern"]);
  return description.charAt(0).toLowerCase() + description.slice(1);
}

const noSteps: Complaint = { pointer: "/steps", message: "is required: at least one [[steps]] entry" };

function repeatedStepNames(data: unknown): Complaint[] {
  const first = new Map<unknown, number>();
  const complaints: Complaint[] = [];
  for (const [index, step] of steps(data).entries()) {
    const name = member(step, "name");
    const earlier = first.get(name);
    if (typeof name !== "string" || earlier === undefined) first.set(name, index);
    else
      complaints.push({
        pointer: `/steps/${index}/name`,
        message: `is already the name of steps[${earlier}]; a step's name is unique in its flow`,
      });
  }
  return complaints;
}

/** A limit that nothing is ever counted against would be believed in. */
function budgetsOfNothing(data: unknown): Complaint[] {
  return steps(data).flatMap((step, index) => {
    const runner = member(step, "runner");
    const budget = member(step, "budget");
    const pointer = `/steps/${index}/budget`;
    if (budget === undefined) return [];
    if (runner === "bun" || runner === "node")
      return [
        { pointer, message: `limits nothing of a ${runner} step, which asks no model: use timeout_ms` },
      ];
    if (runner !== "code-mode") return [];
    return ["tokens", "usd"]
      .filter((unit) => member(budget, unit) !== undefined)
      .map((unit) => ({
        pointer: `${pointer}/${unit}`,
        message: "limits nothing of a code-mode step, which asks no model: seconds does",
      }));
  });
}

/** A worktree is of one repository, and has its own way to say where in it the step works. */
function contradictingPlaces(data: unknown): Complaint[] {
  return steps(data).flatMap((step, index) => {
    const workspace = member(step, "workspace");
    if (workspace === undefined || workspace === "shared") return [];
    const complaints: Complaint[] = [];
    if (member(step, "project") !== undefined && member(workspace, "repo") !== undefined)
      complaints.push({
        pointer: `/steps/${index}/project`,
        message: "says of which repository the worktree is, and so does workspace.repo: keep one of them",
      });
    if (member(step, "workdir") !== undefined)
      complaints.push({
        pointer: `/steps/${index}/workdir`,
        message: "does not go with a worktree: say by cwd where in it the step works",
      });
    return complaints;
  });
}

function namedFiles(data: unknown): NamedFile[] {
  return steps(data).flatMap((step, index) => {
    const script = member(step, "script");
    const schema = member(member(step, "trigger"), "schema");
    const files: NamedFile[] = [];
    if (typeof script === "string")
      files.push({ pointer: `/steps/${index}/script`, use: "script", path: script });
    if (typeof schema === "string")
      files.push({ pointer: `/steps/${index}/trigger/schema`, use: "schema", path: schema });
    return files;
  });
}

/** TOML's inf and nan would reach a step as null. */
function notFinite(value: unknown, pointer: string): Complaint[] {
  if (typeof value === "number" && !Number.isFinite(value))
    return [{ pointer, message: "must be a finite number: JSON has no inf and no nan" }];
  if (value === null || typeof value !== "object") return [];
  return Object.entries(value).flatMap(([key, inner]) => notFinite(inner, pointer + pointerSegment(key)));
}

function steps(data: unknown): unknown[] {
  const value = member(data, "steps");
  return Array.isArray(value) ? value : [];
}

function member(value: unknown, key: string): unknown {
  return value !== null && typeof value === "object" && Object.hasOwn(value, key)
    ? (value as Record<string, unknown>)[key]
    : undefined;
}
