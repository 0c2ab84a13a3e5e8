/**
 * What can be known of the codex and code-mode steps of flow packages without an event and without Codex: their scripts'
 * front matter, what of a prompt the flow's configuration fills, and the schema of the answer. For whoever checks a
 * workspace before a run has to say it. Reads files, starts nothing.
 */
import { resolve } from "node:path";
import type { PackageFault } from "../../../catalog/fault.ts";
import type { LoadedPackage } from "../../../catalog/load.ts";
import { NotTextError, readTextFileSync } from "../../../catalog/text-file.ts";
import type { Sandbox } from "../../../contract/codex-prompt.ts";
import { fillPlaceholders, textAt } from "../../../contract/template.ts";
import { scriptFrontMatter } from "../code-mode/saved-script.ts";
import { answerForm, OutputSchemaError, readOutputSchema } from "./final-answer.ts";
import { FrontMatterError } from "./front-matter.ts";
import { PromptTemplateError, readTemplate, type PromptTemplate } from "./prompt-template.ts";
import { strictComplaints } from "./strict-schema.ts";

/** A step that Codex works for, as far as its package says. */
export interface CheckedStep {
  /** "flow/step" */
  name: string;
  /** Absolute path of its script. */
  file: string;
  kind: "codex" | "code-mode";
  sandbox: Sandbox;
  /** Absent: the box's own. */
  model?: string | undefined;
  /** It has a budget in US dollars. */
  priced: boolean;
}

export interface CheckedSteps {
  /** Those whose script can be read. */
  steps: CheckedStep[];
  faults: PackageFault[];
}

export function checkCodexSteps(packages: readonly LoadedPackage[]): CheckedSteps {
  const all: CheckedSteps = { steps: [], faults: [] };
  for (const { root, flow, config } of packages)
    for (const { name, runner: kind, script, budget } of flow.steps) {
      if (kind !== "codex" && kind !== "code-mode") continue;
      const file = resolve(root, script);
      const about = { name: `${flow.name}/${name}`, file, kind, priced: budget?.usd !== undefined };
      try {
        const source = readTextFileSync(file);
        if (kind === "code-mode") {
          all.steps.push({ ...about, sandbox: scriptFrontMatter(source).sandbox ?? "workspace-write" });
          continue;
        }
        const template = readTemplate(source);
        const { fields } = template;
        all.steps.push({ ...about, sandbox: fields.sandbox ?? "workspace-write", model: fields.model });
        all.faults.push(...unfilled(template, config, file));
        if (fields.output !== undefined) all.faults.push(...schemaFaults(resolve(root, fields.output)));
      } catch (error) {
        all.faults.push(...faultsOf(error, file));
      }
    }
  return all;
}

/** The event is not there yet, but the flow's configuration is. */
function unfilled(
  { text, textLine }: PromptTemplate,
  config: Record<string, unknown> | undefined,
  file: string,
): PackageFault[] {
  const faults: PackageFault[] = [];
  fillPlaceholders(text, ({ path, optional, offset }) => {
    if (path.startsWith("config.") && !optional && textAt({ config: config ?? {} }, path) === undefined)
      faults.push({
        file,
        ...positionAt(text, offset, textLine),
        path: `{{${path}}}`,
        message: `leads to nothing: add it to [config] of flow.toml, or write {{${path}?}}`,
      });
    return "";
  });
  return faults;
}

function positionAt(text: string, offset: number, firstLine: number): { line: number; column: number } {
  const before = text.slice(0, offset).split("\n");
  return { line: firstLine + before.length - 1, column: (before.at(-1)?.length ?? 0) + 1 };
}

function schemaFaults(file: string): PackageFault[] {
  // Compiled as a step does it.
  answerForm(file);
  return strictComplaints(readOutputSchema(file)).map(({ pointer, message }) =>
    fault(file, pointer, message),
  );
}

function faultsOf(error: unknown, file: string): PackageFault[] {
  if (error instanceof OutputSchemaError) return [fault(error.file, "", error.reason)];
  if (error instanceof PromptTemplateError || error instanceof FrontMatterError)
    return error.faults.map((one) => ({ file, ...one }));
  const reason = error instanceof Error ? error.message : String(error);
  return [fault(file, "", error instanceof NotTextError ? reason : `cannot be read: ${reason}`)];
}

function fault(file: string, path: string, message: string): PackageFault {
  return { file, line: 1, column: 1, path, message };
}
