/** What `codex-flow audit` and `codex-flow roles` show. */
import type { AuditPage, AuditView, GrantView } from "../../../contract/chat/audit.ts";
import { table } from "./table.ts";
import { paragraphs, timeText, visible, type Style } from "./text.ts";

export function renderAudit(style: Style, { audit, nextCursor }: AuditPage): string {
  if (audit.length === 0) return "nobody did anything";
  return paragraphs([
    table(
      style,
      ["when", "who", "verdict", "what", "what came of it"],
      audit.map((row) => [
        timeText(style, row.at),
        visible(`${row.user.name} (${row.user.id})`),
        verdictText(style, row),
        visible([row.act, row.subject].filter((part) => part !== undefined).join(" ")),
        visible(row.outcome ?? "") + (row.times === undefined ? "" : `, ${row.times} times`),
      ]),
    ),
    nextCursor === undefined ? "" : style.colors.dim(`more: --cursor ${nextCursor}`),
  ]);
}

function verdictText({ colors }: Style, { verdict }: AuditView): string {
  return verdict === "allowed" ? colors.green(verdict) : colors.red(visible(verdict));
}

export function renderGrants(style: Style, grants: GrantView[]): string {
  if (grants.length === 0) return "nobody has been given anything";
  return table(
    style,
    ["who", "set by", "when", "may"],
    grants.map(({ subject, scopes, deny, setBy, at }) => [
      subject,
      visible(setBy),
      timeText(style, at),
      deny ? style.colors.red("nothing, whatever else they have") : scopes.join(", "),
    ]),
  );
}
