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
import { frontMatterReader, type ScriptFault } from "./front-matter.ts";

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
  /** Where in the file, when the template itself is wrong; absent when the event does not fit it. */
  readonly faults: ScriptFault[];

  constructor(message: string, faults: ScriptFault[] = []) {
    super(message);
    this.faults = faults;
  }
}

const EMPTY = "the prompt is empty: write it behind the front matter";
/** What editors leave before the first character that people see: white space, byte order marks, zero-width characters. */
const INVISIBLE = /^[\s\p{Cf}\p{Cc}]*/u;
const FENCE = /^---[ \t]*\r?\n([\s\S]*?)^---[ \t]*(?:\r?\n|$)/m;
const FENCE_LINE = /^[^\S\r\n]*---+[^\S\r\n]*$/;
/** Settings that decide what Codex may do; a line with one of them is never mistaken for a part of the prompt. */
const SAFETY_LINE = /^[\s\p{Cf}]*["']?(sandbox|approval_policy|network)["']?[ \t]*:/u;
const PROMPT_MAX_CHARS = 512 * 1024;
/** How much of an event's value an error shows. */
const SHOWN_MAX_CHARS = 64;

const readFrontMatter = frontMatterReader(PromptFrontMatter, check);

export interface PromptTemplate {
  fields: PromptFrontMatter;
  text: string;
  /** Line of the file in which the text begins, from 1. */
  textLine: number;
  /** Line of a key of the front matter. */
  lineOf: (key: string) => number;
}

/**
 * Reads a template without an event. Front matter is recognised behind invisible characters, and settings that are
 * not in front matter are refused: they would be dropped, and the sandbox would open.
 * @throws PromptTemplateError, FrontMatterError
 */
export function readTemplate(source: string): PromptTemplate {
  const start = INVISIBLE.exec(source)?.[0].length ?? 0;
  const body = source.slice(start);
  const firstLine = lineAt(source, start);
  const fence = body.startsWith("---") ? FENCE.exec(body) : null;
  if (body.startsWith("---") && fence?.index !== 0)
    throw templateError(firstLine, "the front matter is not closed: put --- on a line of its own behind it");
  if (fence === null) refuseMisplacedSettings(source);
  const { fields, lineOf } = readFrontMatter(fence?.[1] ?? "", firstLine + 1);
  // A session without a placeholder is the same for every event.
  if (fields.session?.includes("{{") === false) {
    try {
      sessionOf(fields.session, {});
    } catch (error) {
      if (!(error instanceof PromptTemplateError)) throw error;
      throw templateError(lineOf("session"), error.message);
    }
  }
  const behind = body.slice(fence?.[0].length ?? 0);
  const text = behind.trim();
  if (text === "") throw templateError(firstLine, EMPTY);
  const textStart = source.length - behind.trimStart().length;
  return { fields, text, textLine: lineAt(source, textStart), lineOf };
}

/** Settings above a line of dashes are front matter whose beginning is missing or which something stands before. */
function refuseMisplacedSettings(source: string): void {
  const lines = source.split(/\r\n|\r|\n/);
  const lastFence = lines.findLastIndex((line) => FENCE_LINE.test(line));
  const misplaced = lines.findIndex((line, index) => index < lastFence && SAFETY_LINE.test(line));
  if (misplaced < 0) return;
  const key = SAFETY_LINE.exec(lines[misplaced] ?? "")?.[1] ?? "";
  throw templateError(
    misplaced + 1,
    `${key} is not in front matter and would have no effect: the first line of the file must be ---`,
  );
}

function templateError(line: number, message: string): PromptTemplateError {
  return new PromptTemplateError(message, [{ line, column: 1, path: "", message }]);
}

function lineAt(source: string, offset: number): number {
  return source.slice(0, offset).split("\n").length;
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
