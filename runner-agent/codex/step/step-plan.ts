/**
 * What a codex step is going to do, from its package and the box's rules: everything that can be wrong before Codex is
 * asked, each with a code and a way to mend it. Reads files, starts nothing.
 */
import { readFileSync, statSync } from "node:fs";
import { resolve } from "node:path";
import type { StepRequest } from "../../steps/step.ts";
import { stepVariables, workingDirectory } from "../../steps/step-input.ts";
import { answerForm, OutputSchemaError, type AnswerForm } from "./final-answer.ts";
import { PromptTemplateError, renderPrompt, type CodexSettings } from "./prompt-template.ts";

/** What the box allows; a flow package cannot grant it to itself. */
export interface CodexRules {
  allowDangerFullAccess: boolean;
}

export interface StepPlan {
  settings: CodexSettings;
  prompt: string;
  cwd: string;
  form: AnswerForm;
  /** The whole environment of the commands that the model runs. */
  variables: Record<string, string>;
}

/** A step that cannot be started, and why. */
export class StepPlanError extends Error {
  override readonly name = "StepPlanError";
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** Where Codex keeps its own things is no business of the commands that it runs. */
const WITHHELD = ["CODEX_HOME"];

/** @throws StepPlanError */
export function planStep(request: StepRequest, rules: CodexRules): StepPlan {
  const { flow, step } = request;
  const where = `step ${flow.name}/${step.name}`;
  const cwd = workingDirectory(request);
  if (statSync(cwd, { throwIfNoEntry: false })?.isDirectory() !== true)
    throw new StepPlanError("cwd_missing", `${where}: there is no directory ${cwd} (cwd)`);
  try {
    const { settings, text } = renderPrompt(readTemplate(resolve(flow.root, step.script), where), {
      event: request.event,
      config: flow.config,
    });
    if (settings.sandbox === "danger-full-access" && !rules.allowDangerFullAccess)
      throw new StepPlanError(
        "sandbox_not_allowed",
        `${where} asks for the sandbox danger-full-access, which this box does not allow: set allow_danger_full_access = true under [codex] in its runner.toml if it shall`,
      );
    const form = answerForm(settings.output === undefined ? undefined : resolve(flow.root, settings.output));
    const variables = Object.fromEntries(
      Object.entries(stepVariables(request)).filter(([name]) => !WITHHELD.includes(name)),
    );
    return { settings, prompt: text, cwd, form, variables };
  } catch (error) {
    if (error instanceof PromptTemplateError || error instanceof OutputSchemaError)
      throw new StepPlanError("template_invalid", `${where}, ${step.script}: ${error.message}`);
    throw error;
  }
}

function readTemplate(path: string, where: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const missing = error instanceof Error && "code" in error && error.code === "ENOENT";
    throw new StepPlanError(
      missing ? "script_missing" : "template_invalid",
      missing ? `${where}: there is no prompt template ${path}` : `${where}: ${String(error)}`,
    );
  }
}
