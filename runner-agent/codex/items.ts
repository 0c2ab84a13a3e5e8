/**
 * Codex's notifications as items of the contract: the one place that knows what they look like. Pure.
 *
 * Whose notifications they are is the caller's choice (a thread's, or all). Requests for approvals are none of this
 * file's; the item that waits for one is `started` meanwhile.
 */
import type {
  AgentItem,
  AgentItemDelta,
  ItemFileChange,
  ItemOutcome,
  TokenCounts,
} from "../../contract/agent-item.ts";
import {
  ITEM_CHANGES_MAX,
  ITEM_LABEL_MAX_CHARS,
  ITEM_OUTPUT_MAX_CHARS,
  ITEM_PLAN_STEPS_MAX,
  ITEM_TEXT_MAX_CHARS,
} from "../../contract/limits.ts";
import type {
  FileUpdateChange,
  ServerNotification,
  ThreadItem,
  ThreadTokenUsage,
  TurnError,
} from "./protocol.ts";

type State = "started" | "completed";
type Told<Method extends ServerNotification["method"]> = Extract<
  ServerNotification,
  { method: Method }
>["params"];

/**
 * The items that a notification means, mostly one or none. Never throws: what a Codex of another version says in
 * another form becomes a warning. `cwd` is the directory that paths are told relative to.
 */
export function codexItems(notification: ServerNotification, cwd: string): AgentItem[] {
  try {
    const read: ((params: never, cwd: string) => AgentItem[]) | undefined =
      NOTIFICATIONS[notification.method];
    return read?.(notification.params as never, cwd) ?? [];
  } catch (error) {
    const text = `Codex told of ${notification.method} in a form that is not understood: ${String(error)}`;
    return [{ type: "warning", id: label(notification.method), state: "completed", ...bounded(text) }];
  }
}

/** Notifications that mean an item; the others are not for people. */
const NOTIFICATIONS: {
  [Method in ServerNotification["method"]]?: (params: Told<Method>, cwd: string) => AgentItem[];
} = {
  "item/started": ({ item }, cwd) => [threadItem(item, "started", cwd)],
  "item/completed": ({ item }, cwd) => [threadItem(item, "completed", cwd)],
  "item/agentMessage/delta": (params) => deltas("message", params),
  "item/reasoning/summaryTextDelta": (params) => deltas("reasoning", params),
  "item/commandExecution/outputDelta": (params) => deltas("command", params),
  "item/plan/delta": (params) => deltas("plan", params),
  "turn/plan/updated": (params) => [planItem(params)],
  "thread/tokenUsage/updated": (params) => [usageItem(params)],
  "turn/started": (params) => [turnItem(params, "started")],
  "turn/completed": (params) => [turnItem(params, "completed")],
  // One that ends the turn comes with the turn's end, too.
  error: (params) => (params.willRetry ? [retryItem(params)] : []),
  warning: ({ message }) => [warningItem("warning", message)],
  guardianWarning: ({ message }) => [warningItem("guardianWarning", message)],
  configWarning: (params) => [warningItem("configWarning", withDetails(params))],
  deprecationNotice: (params) => [warningItem("deprecationNotice", withDetails(params))],
  "model/rerouted": ({ fromModel, toModel }) => [
    warningItem("model/rerouted", `${fromModel} was replaced by ${toModel}`),
  ],
};

type ItemType = ThreadItem["type"];
type ItemOf<Kind extends ItemType> = Extract<ThreadItem, { type: Kind }>;
interface Base {
  id: string;
  state: State;
}

/** Items of a thread that have a form of their own in the contract; the others are activities. */
const THREAD_ITEMS: { [Kind in ItemType]?: (item: ItemOf<Kind>, base: Base, cwd: string) => AgentItem } = {
  userMessage: ({ content }, base) => {
    const text = content.map((part) => (part.type === "text" ? part.text : `[${part.type}]`)).join("\n");
    return { ...base, type: "message", role: "user", ...bounded(text) };
  },
  agentMessage: ({ text }, base) => ({ ...base, type: "message", role: "agent", ...bounded(text) }),
  reasoning: ({ summary }, base) => ({ ...base, type: "reasoning", ...bounded(summary.join("\n\n")) }),
  plan: ({ text }, base) => ({ ...base, type: "plan", steps: [], ...bounded(text) }),
  commandExecution: (item, base, cwd) => ({
    ...base,
    type: "command",
    command: bounded(item.command).text,
    cwd: label(relativeTo(cwd, item.cwd)),
    outcome: outcomeOf(item.status),
    ...present("exitCode", item.exitCode),
    ...present("durationMs", item.durationMs),
    ...tail(item.aggregatedOutput ?? ""),
  }),
  fileChange: ({ changes, status }, base, cwd) => {
    const omitted = changes.length - ITEM_CHANGES_MAX;
    return {
      ...base,
      type: "file_change",
      outcome: outcomeOf(status),
      changes: changes.slice(0, ITEM_CHANGES_MAX).map((change) => fileChange(change, cwd)),
      ...(omitted > 0 ? { omittedChanges: omitted } : {}),
    };
  },
  mcpToolCall: (item, base) => toolCall(item, base, item.server, item.error?.message),
  dynamicToolCall: (item, base) => toolCall(item, base, item.namespace),
};

function threadItem(item: ThreadItem, state: State, cwd: string): AgentItem {
  const base = { id: label(item.id), state };
  const read: ((item: never, base: Base, cwd: string) => AgentItem) | undefined = THREAD_ITEMS[item.type];
  return read === undefined
    ? { ...base, type: "activity", kind: label(item.type), ...bounded(activityText(item)) }
    : read(item as never, base, cwd);
}

function toolCall(
  item: ItemOf<"mcpToolCall" | "dynamicToolCall">,
  base: Base,
  server: string | null,
  error?: string,
): AgentItem {
  const { text, omittedChars } = bounded(JSON.stringify(item.arguments), ITEM_OUTPUT_MAX_CHARS);
  return {
    ...base,
    type: "tool_call",
    ...(server === null ? {} : { server: label(server) }),
    tool: label(item.tool),
    outcome: outcomeOf(item.status),
    arguments: text,
    ...present("omittedChars", omittedChars),
    ...present("durationMs", item.durationMs),
    ...(error === undefined ? {} : { error: bounded(error).text }),
  };
}

/** What is worth reading in an item without a form of its own. */
function activityText(item: ThreadItem): string {
  const known: Record<string, unknown> = { ...item };
  const said = ["query", "path", "review", "prompt", "name"].map((key) => known[key]);
  return said.find((value) => typeof value === "string") ?? "";
}

function deltas(
  type: AgentItemDelta["type"],
  { itemId, delta }: { itemId: string; delta: string },
): AgentItemDelta[] {
  return pieces(delta).map((text) => ({ type, id: label(itemId), state: "delta", text }));
}

/** A plan belongs to its turn: each one replaces the one before. */
function planItem({ turnId, explanation, plan }: Told<"turn/plan/updated">): AgentItem {
  return {
    type: "plan",
    id: label(`plan ${turnId}`),
    state: plan.every(({ status }) => status === "completed") ? "completed" : "started",
    steps: plan.slice(0, ITEM_PLAN_STEPS_MAX).map(({ step, status }) => ({
      text: label(step),
      status: status === "inProgress" ? "running" : status,
    })),
    ...bounded(explanation ?? ""),
  };
}

/** Counts of the thread grow with each call, which makes them the call's own id. */
function usageItem({ turnId, tokenUsage }: Told<"thread/tokenUsage/updated">): AgentItem {
  const { total, last, modelContextWindow } = tokenUsage;
  return {
    type: "usage",
    id: label(`usage ${turnId} ${total.totalTokens}`),
    state: "completed",
    call: tokenCounts(last),
    thread: tokenCounts(total),
    ...present("contextWindowTokens", modelContextWindow),
  };
}

function tokenCounts(counts: ThreadTokenUsage["total"]): TokenCounts {
  const { totalTokens, inputTokens, cachedInputTokens, outputTokens, reasoningOutputTokens } = counts;
  return { totalTokens, inputTokens, cachedInputTokens, outputTokens, reasoningOutputTokens };
}

function turnItem({ turn }: Told<"turn/completed" | "turn/started">, state: State): AgentItem {
  const code = turn.error === null ? undefined : errorCode(turn.error);
  return {
    type: "turn",
    id: label(turn.id),
    state,
    outcome: turn.status === "inProgress" ? "running" : turn.status,
    ...present("durationMs", turn.durationMs),
    ...(turn.error === null
      ? {}
      : { error: { message: bounded(turn.error.message).text, ...present("code", code) } }),
  };
}

function retryItem({ turnId, error }: Told<"error">): AgentItem {
  const text =
    error.additionalDetails === null ? error.message : `${error.message}: ${error.additionalDetails}`;
  const id = label(`retry ${turnId}`);
  return { type: "warning", id, state: "completed", ...present("code", errorCode(error)), ...bounded(text) };
}

/** Codex's own word: a name, or an object with the name as its only key. Exported for whoever maps it to a reason. */
export function errorCode({ codexErrorInfo }: TurnError): string | undefined {
  if (codexErrorInfo === null) return undefined;
  return label(typeof codexErrorInfo === "string" ? codexErrorInfo : (Object.keys(codexErrorInfo)[0] ?? ""));
}

function withDetails({ summary, details }: { summary: string; details: string | null }): string {
  return details === null ? summary : `${summary}\n${details}`;
}

/** Warnings have no id; the same one again is the same item. */
function warningItem(method: string, text: string): AgentItem {
  return { type: "warning", id: label(`${method} ${text}`), state: "completed", ...bounded(text) };
}

function fileChange({ path, kind, diff }: FileUpdateChange, cwd: string): ItemFileChange {
  const movedTo = kind.type === "update" ? kind.move_path : null;
  const lines = diff.split("\n");
  const count = (sign: string): number => lines.filter((line) => line.startsWith(sign)).length;
  // Of a file that comes or goes, the "diff" is its whole text.
  const whole = diff === "" ? 0 : lines.length - (diff.endsWith("\n") ? 1 : 0);
  return {
    path: label(relativeTo(cwd, path)),
    kind: kind.type,
    ...(movedTo === null ? {} : { movedTo: label(relativeTo(cwd, movedTo)) }),
    addedLines: kind.type === "update" ? count("+") : kind.type === "add" ? whole : 0,
    removedLines: kind.type === "update" ? count("-") : kind.type === "delete" ? whole : 0,
  };
}

function outcomeOf(status: "inProgress" | "completed" | "failed" | "declined"): ItemOutcome {
  return status === "inProgress" ? "running" : status;
}

/** As people read it. */
export function relativeTo(cwd: string, path: string): string {
  if (path === cwd) return ".";
  return path.startsWith(`${cwd}/`) ? path.slice(cwd.length + 1) : path;
}

function present<Key extends string, Value>(
  key: Key,
  value: Value | null | undefined,
): { [K in Key]?: Value } {
  return value === null || value === undefined ? {} : ({ [key]: value } as { [K in Key]?: Value });
}

function label(text: string): string {
  return text.slice(0, ITEM_LABEL_MAX_CHARS).toWellFormed();
}

/** The beginning of a text. */
function bounded(text: string, maxChars = ITEM_TEXT_MAX_CHARS): { text: string; omittedChars?: number } {
  if (text.length <= maxChars) return { text };
  return { text: text.slice(0, maxChars).toWellFormed(), omittedChars: text.length - maxChars };
}

/** The end of a text: of a command that fails, the reason. */
function tail(text: string): { output: string; omittedChars?: number } {
  const omitted = text.length - ITEM_OUTPUT_MAX_CHARS;
  if (omitted <= 0) return { output: text };
  return { output: text.slice(omitted).toWellFormed(), omittedChars: omitted };
}

function pieces(text: string): string[] {
  const cut: string[] = [];
  for (let at = 0; at < text.length; at += ITEM_TEXT_MAX_CHARS)
    cut.push(text.slice(at, at + ITEM_TEXT_MAX_CHARS));
  return cut;
}
