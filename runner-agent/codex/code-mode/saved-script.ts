// The script of a code-mode step: JavaScript for Codex's own code mode, with what Codex shall be told about the turn in a
// comment at its beginning. Reads one file, starts nothing.
//
//   /*---
//   sandbox: workspace-write        # read-only | workspace-write | danger-full-access
//   approval_policy: on-request     # never | on-request | untrusted
//   network: false
//   ---*/
//   const { output } = await tools.exec_command({ cmd: "git status --short" });
//   result({ status: "completed", message: output });
//
// It is a module without imports: no Node, no files, no network but through `tools`. Beside what code mode itself defines
// (`tools`, `text`, `exit`, …) it has `flow` and `result(value)`, as with the ancestor.
import { randomBytes } from "node:crypto";
import { RESULT_MARKER } from "../../../contract/flow-result.ts";
import { ScriptFrontMatter } from "../../../contract/codex-prompt.ts";
import { ScriptFrontMatter as check } from "../../../contract/generated/codex-validators.js";
import type { StepRequest } from "../../steps/step.ts";
import { FrontMatterError, frontMatterReader } from "../step/front-matter.ts";
import {
  checkSandbox,
  nameOf,
  planPlace,
  readScript,
  StepPlanError,
  type CodexRules,
  type StepPlace,
} from "../step/step-plan.ts";
import type { ThreadSettings } from "../step/open-thread.ts";

const readFrontMatter = frontMatterReader(ScriptFrontMatter, check);

const OPENED = /^[\s\p{Cf}]*\/\*---/mu;
const FENCE = /^[\s\p{Cf}]*\/\*---[ \t]*\r?\n([\s\S]*?)^---\*\//mu;
const SCRIPT_MAX_BYTES = 512 * 1024;
const NONCE_BYTES = 16;
/** What Codex calls the module in its errors. */
const MODULE_LINE = /exec_main\.mjs:(\d+)/g;

export interface ScriptPlan extends StepPlace {
  settings: ThreadSettings;
  /** For Codex: `flow` and `result` in the first line, the script from the second one on. */
  source: string;
  /** What `result` puts before a result: one that only this attempt has, unless the manifest lets any FLOW_RESULT count. */
  marker: string;
  /** How the script is called when people are told of it. */
  name: string;
}

/** @throws StepPlanError */
export function planScript(request: StepRequest, rules: CodexRules): ScriptPlan {
  const { flow, step } = request;
  const place = planPlace(request);
  const script = readScript(request, "script");
  if (Buffer.byteLength(script) > SCRIPT_MAX_BYTES)
    throw new StepPlanError(
      "script_invalid",
      `${nameOf(request)}, ${step.script}: the script is larger than ${SCRIPT_MAX_BYTES} bytes`,
    );
  const fields = frontMatterOf(script, request);
  const settings: ThreadSettings = {
    sandbox: fields.sandbox ?? "workspace-write",
    approvalPolicy: fields.approval_policy ?? "on-request",
    network: fields.network ?? false,
  };
  checkSandbox(settings.sandbox, place.cwd, request, rules);
  const marker =
    step.result === undefined
      ? `${RESULT_MARKER}${randomBytes(NONCE_BYTES).toString("hex")} `
      : RESULT_MARKER;
  return {
    ...place,
    settings,
    source: `${preludeOf(request, marker)}\n${script}`,
    marker,
    name: `${flow.name}/${step.script}`,
  };
}

/** An error of Codex's with the script's own name and lines. @param before lines that Codex was given before it */
export function withOwnLines(error: string, script: string, before: number): string {
  return error.replace(MODULE_LINE, (_whole, line: string) => `${script}:${Number(line) - before}`);
}

/**
 * Settings of a script. A comment that opens as front matter and does not close as front matter is refused wherever it
 * is: its settings would be dropped.
 * @throws FrontMatterError
 */
export function scriptFrontMatter(script: string): ScriptFrontMatter {
  const fence = FENCE.exec(script);
  const opened = OPENED.exec(script);
  const line = script.slice(0, (opened?.index ?? 0) + (opened?.[0].length ?? 0)).split("\n").length;
  if (opened !== null && fence?.index !== opened.index)
    throw new FrontMatterError([
      {
        line,
        column: 1,
        path: "",
        message: "the front matter is not closed: put ---*/ on a line of its own behind it",
      },
    ]);
  return readFrontMatter(fence?.[1] ?? "", line + 1).fields;
}

function frontMatterOf(script: string, request: StepRequest): ScriptFrontMatter {
  try {
    return scriptFrontMatter(script);
  } catch (error) {
    if (!(error instanceof FrontMatterError)) throw error;
    throw new StepPlanError("script_invalid", `${nameOf(request)}, ${request.step.script}: ${error.message}`);
  }
}

/** One line. JSON inside of a text: as a literal, a key `__proto__` of an event would mean something else. */
function preludeOf({ flow, step, event }: StepRequest, marker: string): string {
  const told = {
    name: flow.name,
    version: flow.version,
    root: flow.root,
    step: step.name,
    config: flow.config,
    event,
  };
  return [
    `const flow = JSON.parse(${JSON.stringify(JSON.stringify(told))});`,
    String.raw`function result(value) { text("\n${marker}" + JSON.stringify(value) + "\n"); exit(); }`,
  ].join(" ");
}
