/**
 * The script of a codex step: a prompt as Markdown, with what Codex shall be told about the turn in its front matter.
 *
 *   ---
 *   model: gpt-5.6
 *   effort: high
 *   sandbox: workspace-write        # read-only | workspace-write | danger-full-access
 *   approval_policy: on-request     # never | on-request | untrusted
 *   session: auto                   # new | reuse | auto
 *   session_key: "{{payload.repo}}"
 *   on_conflict: fork               # fork | blocked
 *   network: false
 *   output: schemas/findings.json   # JSON Schema of the result's artifacts.output
 *   ---
 *   Review pull request {{payload.number}} of {{payload.repo}}.
 *
 * `{{path}}` is filled from the event, `{{config.path}}` from the flow's configuration; an object stands as JSON. A path
 * that leads nowhere is an error, unless it ends in `?`: an agent that is asked about "" does expensive nonsense.
 */
import { PromptFrontMatter, type ApprovalPolicy, type Sandbox } from "../../../contract/codex-prompt.ts";
import type { FlowEvent } from "../../../contract/flow-event.ts";
import { PromptFrontMatter as check } from "../../../contract/generated/codex-validators.js";
import { frontMatterReader } from "./front-matter.ts";

/** What a step asks of Codex, with every default filled in. */
export interface CodexSettings {
  /** Codex's own default where it is absent. */
  model?: string;
  effort?: string;
  sandbox: Sandbox;
  approvalPolicy: ApprovalPolicy;
  session: "new" | "reuse" | "auto";
  /** Distinguishes sessions of one directory. */
  sessionKey?: string;
  onConflict: "fork" | "blocked";
  network: boolean;
  /** Path of a JSON Schema inside the package. */
  output?: string;
}

export interface Prompt {
  settings: CodexSettings;
  text: string;
}

/** The template cannot be used; the message names the file's key or placeholder. */
export class PromptTemplateError extends Error {
  override readonly name = "PromptTemplateError";
}

const FENCE = /^---\r?\n([\s\S]*?)^---[ \t]*(?:\r?\n|$)/m;
const PLACEHOLDER = /\{\{\s*([A-Za-z0-9_$.-]+)(\?)?\s*\}\}/g;
const PROMPT_MAX_CHARS = 512 * 1024;

const readFrontMatter = frontMatterReader(PromptFrontMatter, check);

/** Reads a template and fills it. @throws PromptTemplateError, FrontMatterError */
export function renderPrompt(
  source: string,
  values: { event: FlowEvent; config: Record<string, unknown> | undefined },
): Prompt {
  const fence = source.startsWith("---") ? FENCE.exec(source) : null;
  if (source.startsWith("---") && fence?.index !== 0)
    throw new PromptTemplateError("the front matter is not closed: put --- on a line of its own behind it");
  const fields = readFrontMatter(fence?.[1] ?? "");
  const known: Record<string, unknown> = { ...values.event, config: values.config ?? {} };
  const text = fill(source.slice(fence?.[0].length ?? 0), known).trim();
  if (text === "") throw new PromptTemplateError("the prompt is empty: write it behind the front matter");
  if (text.length > PROMPT_MAX_CHARS)
    throw new PromptTemplateError(
      `the filled prompt has ${text.length} characters, more than the limit of ${PROMPT_MAX_CHARS}`,
    );
  const { session_key: sessionKey } = fields;
  return {
    text,
    settings: {
      ...(fields.model === undefined ? {} : { model: fields.model }),
      ...(fields.effort === undefined ? {} : { effort: fields.effort }),
      sandbox: fields.sandbox ?? "workspace-write",
      approvalPolicy: fields.approval_policy ?? "on-request",
      session: fields.session ?? "new",
      ...(sessionKey === undefined ? {} : { sessionKey: fill(sessionKey, known) }),
      onConflict: fields.on_conflict ?? "blocked",
      network: fields.network ?? false,
      ...(fields.output === undefined ? {} : { output: fields.output }),
    },
  };
}

function fill(template: string, values: Record<string, unknown>): string {
  return template.replace(PLACEHOLDER, (_whole, path: string, optional: string | undefined) => {
    const value = valueAt(values, path.split("."));
    if (value === undefined || value === null) {
      if (optional !== undefined) return "";
      throw new PromptTemplateError(
        `{{${path}}} leads to nothing in this event; write {{${path}?}} if it may be absent`,
      );
    }
    return typeof value === "string" ? value : JSON.stringify(value);
  });
}

function valueAt(value: unknown, path: string[]): unknown {
  let current = value;
  for (const key of path) {
    if (current === null || typeof current !== "object" || !Object.hasOwn(current, key)) return undefined;
    current = (current as Record<string, unknown>)[key];
  }
  return current;
}
