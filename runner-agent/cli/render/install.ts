/** What an installation has changed, and how to go on with it. */
import type { Installed } from "../../install/install.ts";
import { fields, indent, nextSteps, paragraphs, section, visibleLines, type Style } from "./text.ts";

export function renderInstalled(style: Style, done: Installed): string {
  const { unit, started, restartNeeded } = done;
  return paragraphs([
    fields(style, [
      ["unit", `${done.unitPath} (${done.unitFile})`],
      ["token and url", `${done.environmentPath} (${done.environmentFile}, mode 0600)`],
      ["state", started ? "enabled and started" : "enabled, not started"],
    ]),
    section(style, "changed in the unit", indent(visibleLines(done.changes.join("\n")))),
    nextSteps(style, [
      ...(restartNeeded
        ? ([
            [`systemctl --user restart ${unit}`, "drain the agent that runs, and start it with what is new"],
          ] satisfies Array<[string, string]>)
        : []),
      ...(started
        ? []
        : ([[`systemctl --user start ${unit}`, "start it"]] satisfies Array<[string, string]>)),
      [`systemctl --user status ${unit}`, "how it stands"],
      [`journalctl --user -u ${unit} -f`, "its log"],
      ["loginctl enable-linger", "let it run while nobody is logged in, and after a reboot"],
    ]),
  ]);
}

export function renderUninstalled(unit: string, removed: readonly string[]): string {
  return removed.length === 0
    ? `${unit} is not installed: nothing to remove`
    : [`${unit} is stopped and removed`, ...removed.map((path) => `  ${path}`)].join("\n");
}
