/** What the doctor found, as a table: what is missing stands out, and each has its remedy. */
import type { Examined } from "../../doctor/doctor.ts";
import { table } from "./table.ts";
import { countText, paragraphs, visible, type Style } from "./text.ts";

export function renderDoctor(style: Style, checks: readonly Examined[]): string {
  const { colors } = style;
  const paint = {
    ok: colors.green,
    warn: colors.yellow,
    missing: (text: string) => colors.bold(colors.red(text)),
  };
  const rows = checks.map(({ name, state, found }) => [name, paint[state](state), visible(found)]);
  const fixes = checks.flatMap(({ name, state, fix }) =>
    fix === undefined ? [] : [`${paint[state](name)}: ${visible(fix)}`],
  );
  return paragraphs([
    table(style, ["check", "state", "found"], rows, "wrap"),
    fixes.length === 0 ? "" : `${colors.bold("how to fix it")}\n${fixes.map((fix) => `  ${fix}`).join("\n")}`,
    verdict(checks),
  ]);
}

function verdict(checks: readonly Examined[]): string {
  const missing = checks.filter(({ state }) => state === "missing").length;
  return missing === 0
    ? "this box can run an agent"
    : `${countText(missing, "check")} failed: the agent, or steps of some kind, cannot work here`;
}
