/**
 * What the script of a step that Codex works for says of its turn, and what Codex answers at its end: checked by code that is made
 * when the project is built, since compiling a schema takes as long as starting a thread.
 */
import Type, { type Static } from "typebox";
import { ResultStatus } from "./flow-result.ts";

export const SANDBOXES = ["read-only", "workspace-write", "danger-full-access"] as const;
export type Sandbox = (typeof SANDBOXES)[number];

export const APPROVAL_POLICIES = ["never", "on-request", "untrusted"] as const;
export type ApprovalPolicy = (typeof APPROVAL_POLICIES)[number];

/** `auto`: the thread of the session goes on, if there is one; `new`: never; `reuse`: only if there is one. */
export const SESSION_POLICIES = ["new", "reuse", "auto"] as const;
export type SessionPolicy = (typeof SESSION_POLICIES)[number];

const closed = { additionalProperties: false } as const;
const Template = Type.String({ minLength: 1, maxLength: 512 });
const Word = Type.String({ minLength: 1, maxLength: 128 });

/** Front matter of a prompt template. */
export const PromptFrontMatter = Type.Object(
  {
    model: Type.Optional(Word),
    effort: Type.Optional(Word),
    sandbox: Type.Optional(Type.Enum([...SANDBOXES])),
    approval_policy: Type.Optional(Type.Enum([...APPROVAL_POLICIES])),
    // What it may be is known when it is filled.
    session: Type.Optional(Template),
    session_key: Type.Optional(Template),
    on_conflict: Type.Optional(Type.Enum(["fork", "blocked"])),
    network: Type.Optional(Type.Boolean()),
    output: Type.Optional(Type.String({ minLength: 1, pattern: "^(?!/)(?!(?:.*/)?\\.\\.(?:/|$)).+$" })),
  },
  closed,
);
export type PromptFrontMatter = Static<typeof PromptFrontMatter>;

/** Front matter of a code-mode step's script. */
export const ScriptFrontMatter = Type.Object(
  {
    sandbox: Type.Optional(Type.Enum([...SANDBOXES])),
    approval_policy: Type.Optional(Type.Enum([...APPROVAL_POLICIES])),
    network: Type.Optional(Type.Boolean()),
  },
  closed,
);
export type ScriptFrontMatter = Static<typeof ScriptFrontMatter>;

/** The final answer of a step that names no schema of its own: as providers demand it, closed, every member required. */
export const FinalAnswer = Type.Object({ status: ResultStatus, message: Type.String() }, closed);
