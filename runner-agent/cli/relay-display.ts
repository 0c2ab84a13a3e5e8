/** A relayed session on this terminal: its items as they come; in a pipe as plain text, with --json a line each. */
import type { AgentItem } from "../../contract/agent-item.ts";
import { itemText } from "../../contract/item-text.ts";
import { RELAY_SUMMARY } from "../../contract/relay.ts";
import type { SessionDisplay } from "../relay/session.ts";
import type { Output } from "./output.ts";
import { AgentItemRenderer } from "./render/agent-items.ts";
import { visibleLines } from "./render/text.ts";

export function relayDisplay(output: Output): SessionDisplay {
  const { colors, terminal } = output.style();
  const items = new AgentItemRenderer(colors);
  let isLineOpen = false;
  let lastPlan = "";
  /** Ends a line that a program has left without an end. */
  const endLine = (): void => {
    if (isLineOpen) output.out.write("\n");
    isLineOpen = false;
  };
  return {
    item(item: AgentItem): void {
      if (output.json) {
        output.line({ item });
        return;
      }
      if (item.type === "activity" && item.kind === RELAY_SUMMARY && item.state === "completed") {
        // The summary is the relay's own: it is no output of the program, and does not continue a line of it.
        endLine();
        output.note(() => item.text.replaceAll("\n", " · "));
        return;
      }
      endLine();
      const text = terminal ? items.render(item) : itemText(item);
      // A plan comes again whenever the agent looks at it.
      if (item.type === "plan" && text === lastPlan) return;
      if (item.type === "plan") lastPlan = text;
      output.out.write(text);
    },
    text(stream, text): void {
      if (output.json) {
        output.line({ stream, text });
        return;
      }
      if (terminal) output.out.write(items.endLine());
      isLineOpen = !text.endsWith("\n");
      output.out.write(terminal ? visibleLines(text) : text);
    },
  };
}
