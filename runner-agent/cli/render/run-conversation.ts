/** What passes between a run and people, as text: what was said to it, its budget, and the runs of one thread. */
import type { MessageView, RunView } from "../../../client/http.ts";
import { BUDGET_UNITS, budgetAmount, type BudgetUse } from "../../../contract/budget.ts";
import { isOver } from "../run-outcome.ts";
import { table } from "./table.ts";
import { indent, nextSteps, paragraphs, statusText, timeText, visible, type Style } from "./text.ts";

export function renderSaid(style: Style, run: string, { id, state }: MessageView): string {
  return paragraphs([
    `${style.colors.bold(id)}  ${messageState(state)}`,
    nextSteps(style, [[`codex-flow runs logs -f ${run}`, "see what it makes of it"]]),
  ]);
}

/** What was said to a run, oldest first. Of one that is over, nobody takes a message any more. */
export function messagesTable(style: Style, run: RunView): string {
  const { messages = [] } = run;
  if (messages.length === 0) return "";
  const fateOf = ({ state }: MessageView): string =>
    state === "pending" && isOver(run)
      ? style.colors.yellow("reached nobody: the run ended before")
      : messageState(state);
  const rows = messages.map((message) => [
    message.id,
    timeText(style, message.at),
    visible(message.by),
    fateOf(message),
    visible(message.text),
  ]);
  return indent(table(style, ["id", "said", "by", "state", "text"], rows, "wrap"));
}

function messageState(state: string): string {
  switch (state) {
    case "pending":
      return "waits for the runner to take it";
    case "steered":
      return "went into the active turn";
    case "queued":
      return "begins the next turn";
    default:
      return visible(state);
  }
}

/** `raised` is the run that was named; `run` the one that goes on. */
export function renderRaised(style: Style, raised: string, run: RunView): string {
  const how =
    run.id === raised ? "goes on with more" : `continues ${run.continues ?? raised} in the same thread`;
  const budget = budgetText(style, run);
  return paragraphs([
    `${style.colors.bold(run.id)}  ${statusText(style, run.effectiveStatus)}  ${how}${budget === "" ? "" : `; budget: ${budget}`}`,
    nextSteps(style, [[`codex-flow runs logs -f ${run.id}`, "follow it"]]),
  ]);
}

/** "tokens 1,200 of 2,000, seconds 31 of 600": what was used as far as it was told; exactly, once the step has ended. */
export function budgetText({ colors }: Style, run: RunView): string {
  const told = run.result?.artifacts?.["budget"];
  const { limits = {}, used = {}, exceeded } = isTold(told) ? told : {};
  const allowed: BudgetUse = run.budget ?? limits;
  return BUDGET_UNITS.flatMap((unit) => {
    const limit = allowed[unit];
    if (limit === undefined) return [];
    const use = used[unit] ?? run.budgetUsed?.[unit];
    const text = `${unit} ${use === undefined ? "up to" : `${budgetAmount(use)} of`} ${budgetAmount(limit)}`;
    return [exceeded === unit ? colors.red(`${text} (used up)`) : text];
  }).join(", ");
}

/** What a codex step says of its budget in its artifacts; anything may stand there. */
function isTold(value: unknown): value is { limits?: BudgetUse; used?: BudgetUse; exceeded?: string } {
  if (value === null || typeof value !== "object") return false;
  const parts: Record<string, unknown> = { ...value };
  return ["limits", "used"].every((name) => {
    const part = parts[name];
    return (
      part === undefined ||
      (part !== null &&
        typeof part === "object" &&
        Object.values(part).every((use) => typeof use === "number"))
    );
  });
}
