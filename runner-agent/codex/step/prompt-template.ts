/**
 * The script of a codex step: a prompt as Markdown, with what Codex shall be told about the turn in its front matter.
 *
 *   ---
 *   model: gpt-5.6
 *   effort: high
 *   sandbox: workspace-write        # read-only | workspace-write | danger-full-access
 *   approval_policy: on-request     # never | on-request | untrusted
 *   session: auto                   # new | reuse | auto, or a template that says one of them
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
import {
  PromptFrontMatter,
  SESSION_POLICIES,
  type ApprovalPolicy,
  type Sandbox,
  type SessionPolicy,
} from "../../../contract/codex-prompt.ts";
import type { FlowEvent } from "../../../contract/flow-event.ts";
import { PromptFrontMatter as check } from "../../../contract/generated/codex-validators.js";
import { fillPlaceholders, textAt } from "../../../contract/template.ts";
import { frontMatterReader } from "./front-matter.ts";

/** What a step asks of Codex, with every default filled in. */
export interface CodexSettings {
  /** Codex's own default where it is absent. */
  model?: string;
  effort?: string;
  sandbox: Sandbox;
  approvalPolicy: ApprovalPolicy;
  session: SessionPolicy;
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

const EMPTY = "the prompt is empty: write it behind the front matter";
const FENCE = /^---\r?\n([\s\S]*?)^---[ \t]*(?:\r?\n|$)/m;
const PROMPT_MAX_CHARS = 512 * 1024;
/** Of a value that an event has brought and that cannot be used. */
const SHOWN_MAX_CHARS = 64;

const readFrontMatter = frontMatterReader(PromptFrontMatter, check);

/** A template as it is written; what needs an event is not filled. @throws PromptTemplateError, FrontMatterError */
export function readTemplate(source: string): { fields: PromptFrontMatter; text: string } {
  const fence = source.startsWith("---") ? FENCE.exec(source) : null;
  if (source.startsWith("---") && fence?.index !== 0)
    throw new PromptTemplateError("the front matter is not closed: put --- on a line of its own behind it");
  const fields = readFrontMatter(fence?.[1] ?? "");
  // One without a placeholder says the same of every event.
  if (fields.session?.includes("{{") === false) sessionOf(fields.session, {});
  const text = source.slice(fence?.[0].length ?? 0).trim();
  if (text === "") throw new PromptTemplateError(EMPTY);
  return { fields, text };
}

/** Reads a template and fills it. @throws PromptTemplateError, FrontMatterError */
export function renderPrompt(
  source: string,
  values: { event: FlowEvent; config: Record<string, unknown> | undefined },
): Prompt {
  const { fields, text: template } = readTemplate(source);
  const known: Record<string, unknown> = { ...values.event, config: values.config ?? {} };
  const text = fill(template, known).trim();
  if (text === "") throw new PromptTemplateError(EMPTY);
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
      session: sessionOf(fields.session, known),
      ...(sessionKey === undefined ? {} : { sessionKey: fill(sessionKey, known) }),
      onConflict: fields.on_conflict ?? "blocked",
      network: fields.network ?? false,
      ...(fields.output === undefined ? {} : { output: fields.output }),
    },
  };
}

function fill(template: string, values: Record<string, unknown>): string {
  return fillPlaceholders(template, ({ path, optional }) => {
    const text = textAt(values, path);
    if (text === undefined && !optional)
      throw new PromptTemplateError(
        `{{${path}}} leads to nothing in this event; write {{${path}?}} if it may be absent`,
      );
    return text ?? "";
  });
}

function sessionOf(template: string | undefined, values: Record<string, unknown>): SessionPolicy {
  const wanted = fill(template ?? "", values) || "new";
  const known = SESSION_POLICIES.find((policy) => policy === wanted);
  if (known !== undefined) return known;
  throw new PromptTemplateError(
    `front matter: session must be one of ${SESSION_POLICIES.join(", ")}, and here it is ${JSON.stringify(wanted.slice(0, SHOWN_MAX_CHARS))}`,
  );
}
