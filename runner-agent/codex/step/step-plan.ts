/**
 * What a codex step is going to do, from its package and the box's rules: everything that can be wrong before Codex is
 * asked, each with a code and a way to mend it. Reads files, starts nothing.
 */
import { readTextFileSync } from "../../../catalog/text-file.ts";
import type { Sandbox } from "../../../contract/codex-prompt.ts";
import { statSync } from "node:fs";
import { relative, resolve } from "node:path";
import type { StepRequest } from "../../steps/step.ts";
import { stepVariables, workingDirectory } from "../../steps/step-input.ts";
import { isBelow, realpathOr } from "../trust.ts";
import { answerForm, OutputSchemaError, type AnswerForm } from "./final-answer.ts";
import { FrontMatterError } from "./front-matter.ts";
import { PromptTemplateError, renderPrompt, type CodexSettings } from "./prompt-template.ts";

/** What the box allows; a flow package cannot grant it to itself. */
export interface CodexRules {
  allowDangerFullAccess: boolean;
  /** Files and folders that say what commands may do, absolute: none may be written to from within a sandbox. */
  closed: readonly string[];
}

/** Where commands run, and what they see. */
export interface StepPlace {
  cwd: string;
  /** The whole environment of the commands that Codex runs, but for what its home adds. */
  variables: Record<string, string>;
}

export interface StepPlan extends StepPlace {
  settings: CodexSettings;
  prompt: string;
  form: AnswerForm;
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
  const place = planPlace(request);
  const template = readScript(request, "prompt template");
  try {
    const { settings, text } = renderPrompt(template, { event: request.event, config: flow.config });
    checkSandbox(settings.sandbox, place.cwd, request, rules);
    const form = answerForm(settings.output === undefined ? undefined : resolve(flow.root, settings.output));
    return { ...place, settings, prompt: text, form };
  } catch (error) {
    if (
      error instanceof PromptTemplateError ||
      error instanceof FrontMatterError ||
      error instanceof OutputSchemaError
    )
      throw new StepPlanError("template_invalid", `${nameOf(request)}, ${step.script}: ${error.message}`);
    throw error;
  }
}

export function nameOf({ flow, step }: StepRequest): string {
  return `step ${flow.name}/${step.name}`;
}

/** @throws StepPlanError */
export function planPlace(request: StepRequest): StepPlace {
  const cwd = workingDirectory(request);
  if (statSync(cwd, { throwIfNoEntry: false })?.isDirectory() !== true)
    throw new StepPlanError("cwd_missing", `${nameOf(request)}: there is no directory ${cwd} (cwd)`);
  const variables = Object.fromEntries(
    Object.entries(stepVariables(request)).filter(([name]) => !WITHHELD.includes(name)),
  );
  return { cwd, variables };
}

/** The step's script as text; `kind` is what it should have been. @throws StepPlanError */
export function readScript(request: StepRequest, kind: string): string {
  const path = resolve(request.flow.root, request.step.script);
  try {
    return readTextFileSync(path);
  } catch (error) {
    const missing = error instanceof Error && "code" in error && error.code === "ENOENT";
    throw new StepPlanError(
      missing ? "script_missing" : "template_invalid",
      `${nameOf(request)}: ${missing ? `there is no ${kind} ${path}` : String(error)}`,
    );
  }
}

/** @throws StepPlanError for a sandbox that this box does not allow, or not there */
export function checkSandbox(sandbox: Sandbox, cwd: string, request: StepRequest, rules: CodexRules): void {
  if (sandbox === "danger-full-access" && !rules.allowDangerFullAccess)
    throw new StepPlanError(
      "sandbox_not_allowed",
      `${nameOf(request)} asks for the sandbox danger-full-access, which this box does not allow: set allow_danger_full_access = true under [codex] in its runner.toml if it shall`,
    );
  if (sandbox !== "workspace-write") return;
  const opened = rules.closed.find((path) => opens(realpathOr(cwd), realpathOr(path)));
  if (opened !== undefined)
    throw new StepPlanError(
      "sandbox_not_allowed",
      `${nameOf(request)} would let commands write to all of ${cwd}, and so to ${opened}, which says what they may do: let it work in another folder, or read-only`,
    );
}

/** At the top of the place where a step works, Codex itself lets nobody write to these. */
const CLOSED_BY_CODEX = [".git", ".codex", ".agents"];

/** Whether commands that may write to a directory may write to that path, or to something in it. Both without links. */
function opens(directory: string, path: string): boolean {
  const [top = ""] = relative(directory, path).split("/", 1);
  return isBelow(path, directory) || (isBelow(directory, path) && !CLOSED_BY_CODEX.includes(top));
}
