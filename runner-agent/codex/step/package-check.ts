/**
 * What can be known of the codex and code-mode steps of flow packages without an event and without Codex: their scripts'
 * front matter, what of a prompt the flow's configuration fills, and the schema of the answer. For whoever checks a
 * workspace before a run has to say it. Reads files, starts nothing.
 */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import type { PackageFault } from "../../../catalog/fault.ts";
import type { LoadedPackage } from "../../../catalog/load.ts";
import type { Sandbox } from "../../../contract/codex-prompt.ts";
import { fillPlaceholders, textAt } from "../../../contract/template.ts";
import { scriptFrontMatter } from "../code-mode/saved-script.ts";
import { answerForm, OutputSchemaError, readOutputSchema } from "./final-answer.ts";
import { FrontMatterError } from "./front-matter.ts";
import { PromptTemplateError, readTemplate } from "./prompt-template.ts";
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
        const source = readFileSync(file, "utf8");
        if (kind === "code-mode") {
          all.steps.push({ ...about, sandbox: scriptFrontMatter(source).sandbox ?? "workspace-write" });
          continue;
        }
        const { fields, text } = readTemplate(source);
        all.steps.push({ ...about, sandbox: fields.sandbox ?? "workspace-write", model: fields.model });
        all.faults.push(...unfilled(text, config, file));
        if (fields.output !== undefined) all.faults.push(...schemaFaults(resolve(root, fields.output)));
      } catch (error) {
        all.faults.push(faultOf(error, file));
      }
    }
  return all;
}

/** What an event brings is known when there is one; the configuration is there now. */
function unfilled(text: string, config: Record<string, unknown> | undefined, file: string): PackageFault[] {
  const faults: PackageFault[] = [];
  fillPlaceholders(text, ({ path, optional }) => {
    if (path.startsWith("config.") && !optional && textAt({ config: config ?? {} }, path) === undefined)
      faults.push(
        fault(
          file,
          `{{${path}}}`,
          `leads to nothing: add it to [config] of flow.toml, or write {{${path}?}}`,
        ),
      );
    return "";
  });
  return faults;
}

function schemaFaults(file: string): PackageFault[] {
  // Compiled as a step does it.
  answerForm(file);
  return strictComplaints(readOutputSchema(file)).map(({ pointer, message }) =>
    fault(file, pointer, message),
  );
}

function faultOf(error: unknown, file: string): PackageFault {
  if (error instanceof OutputSchemaError) return fault(error.file, "", error.reason);
  if (error instanceof PromptTemplateError || error instanceof FrontMatterError)
    return fault(file, "", error.message);
  return fault(file, "", `cannot be read: ${error instanceof Error ? error.message : String(error)}`);
}

function fault(file: string, path: string, message: string): PackageFault {
  return { file, line: 1, column: 1, path, message };
}
