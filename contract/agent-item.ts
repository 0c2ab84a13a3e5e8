/**
 * What an agent does while a step of it runs, as a list of items that says nothing of which agent it is: messages,
 * reasoning, commands, changes of files, plans, calls of tools, usage. It is what people watch, and what stays as the
 * record of a turn.
 *
 * A1. Items of one `id` are one item: a later one replaces an earlier one whole, but for a `delta`, which adds its text
 *     to the item's (of a command: to its output).
 * A2. Deltas are for eyes, and may be incomplete or missing: the completed item has all that counts.
 * A3. Everything is bounded; what was left out is counted in `omittedChars` or `omittedChanges`.
 */
import Type, { type Static } from "typebox";
import {
  ITEM_CHANGES_MAX,
  ITEM_LABEL_MAX_CHARS,
  ITEM_OUTPUT_MAX_CHARS,
  ITEM_PLAN_STEPS_MAX,
  ITEM_TEXT_MAX_CHARS,
} from "./limits.ts";

const closed = { additionalProperties: false } as const;
const Count = Type.Integer({ minimum: 0 });
const Label = Type.String({ maxLength: ITEM_LABEL_MAX_CHARS });
const LongText = Type.String({ maxLength: ITEM_TEXT_MAX_CHARS });
const Id = Type.String({ minLength: 1, maxLength: ITEM_LABEL_MAX_CHARS });
const State = Type.Enum(["started", "completed"]);
/** `declined`: somebody, or the rules of the step, did not allow it. */
const Outcome = Type.Enum(["running", "completed", "failed", "declined"]);

/** More of the text of an item that has started. */
const Delta = Type.Object(
  {
    type: Type.Enum(["message", "reasoning", "command", "plan"]),
    id: Id,
    state: Type.Literal("delta"),
    text: LongText,
  },
  closed,
);

/** What the agent says, or what it was told (its prompt, or a word in between). */
const Message = Type.Object(
  {
    type: Type.Literal("message"),
    id: Id,
    state: State,
    role: Type.Enum(["agent", "user"]),
    text: LongText,
    omittedChars: Type.Optional(Count),
  },
  closed,
);

/** What it tells of its thinking; a summary. */
const Reasoning = Type.Object(
  {
    type: Type.Literal("reasoning"),
    id: Id,
    state: State,
    text: LongText,
    omittedChars: Type.Optional(Count),
  },
  closed,
);

const Command = Type.Object(
  {
    type: Type.Literal("command"),
    id: Id,
    state: State,
    command: LongText,
    cwd: Label,
    outcome: Outcome,
    /** Absent while it runs, and when it never ran. */
    exitCode: Type.Optional(Type.Integer()),
    durationMs: Type.Optional(Count),
    /** Standard output and error as they came: the end of it, when there was more. */
    output: Type.String({ maxLength: ITEM_OUTPUT_MAX_CHARS }),
    omittedChars: Type.Optional(Count),
  },
  closed,
);

/** One file of a change; paths are relative to the step's directory when they lie below it. */
export const ItemFileChange = Type.Object(
  {
    path: Label,
    kind: Type.Enum(["add", "update", "delete"]),
    /** Where the file went to. */
    movedTo: Type.Optional(Label),
    addedLines: Count,
    removedLines: Count,
  },
  closed,
);
export type ItemFileChange = Static<typeof ItemFileChange>;

const FileChange = Type.Object(
  {
    type: Type.Literal("file_change"),
    id: Id,
    state: State,
    outcome: Outcome,
    changes: Type.Array(ItemFileChange, { maxItems: ITEM_CHANGES_MAX }),
    omittedChanges: Type.Optional(Count),
  },
  closed,
);

/** What it means to do: as steps, as text, or both. */
const Plan = Type.Object(
  {
    type: Type.Literal("plan"),
    id: Id,
    state: State,
    text: LongText,
    steps: Type.Array(
      Type.Object({ text: Label, status: Type.Enum(["pending", "running", "completed"]) }, closed),
      { maxItems: ITEM_PLAN_STEPS_MAX },
    ),
    omittedChars: Type.Optional(Count),
  },
  closed,
);

/** A call of any other tool. */
const ToolCall = Type.Object(
  {
    type: Type.Literal("tool_call"),
    id: Id,
    state: State,
    /** Whose tool it is: an MCP server, a namespace. */
    server: Type.Optional(Label),
    tool: Label,
    outcome: Outcome,
    /** JSON. */
    arguments: Type.String({ maxLength: ITEM_OUTPUT_MAX_CHARS }),
    durationMs: Type.Optional(Count),
    error: Type.Optional(LongText),
    omittedChars: Type.Optional(Count),
  },
  closed,
);

export const TokenCounts = Type.Object(
  {
    totalTokens: Count,
    inputTokens: Count,
    /** Part of the input that was read from a cache. */
    cachedInputTokens: Count,
    outputTokens: Count,
    /** Part of the output. */
    reasoningOutputTokens: Count,
  },
  closed,
);
export type TokenCounts = Static<typeof TokenCounts>;

/** Once a call of the model. What a turn has used is the sum of `call` over it. */
const Usage = Type.Object(
  {
    type: Type.Literal("usage"),
    id: Id,
    state: Type.Literal("completed"),
    call: TokenCounts,
    /** Since the thread began, earlier turns and attempts included. */
    thread: TokenCounts,
    contextWindowTokens: Type.Optional(Count),
  },
  closed,
);

/** What went wrong and did not end the turn: also an error after which the agent tries again. */
const Warning = Type.Object(
  {
    type: Type.Literal("warning"),
    id: Id,
    state: Type.Literal("completed"),
    text: LongText,
    /** The agent's own word for the kind of error. */
    code: Type.Optional(Label),
    omittedChars: Type.Optional(Count),
  },
  closed,
);

/** Anything else worth a line: a search, a picture that was looked at, a history made shorter. */
const Activity = Type.Object(
  {
    type: Type.Literal("activity"),
    id: Id,
    state: State,
    /** The agent's own word for it. */
    kind: Label,
    text: LongText,
    omittedChars: Type.Optional(Count),
  },
  closed,
);

/** The turn itself. Its `id` is the turn's. */
const Turn = Type.Object(
  {
    type: Type.Literal("turn"),
    id: Id,
    state: State,
    outcome: Type.Enum(["running", "completed", "interrupted", "failed"]),
    durationMs: Type.Optional(Count),
    error: Type.Optional(Type.Object({ message: LongText, code: Type.Optional(Label) }, closed)),
  },
  closed,
);

export const AgentItem = Type.Union([
  Delta,
  Message,
  Reasoning,
  Command,
  FileChange,
  Plan,
  ToolCall,
  Usage,
  Warning,
  Activity,
  Turn,
]);
export type AgentItem = Static<typeof AgentItem>;
export type AgentItemDelta = Static<typeof Delta>;
export type ItemOutcome = Static<typeof Outcome>;
