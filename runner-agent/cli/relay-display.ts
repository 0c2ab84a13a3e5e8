/** A relayed session on this terminal: its items as they come; in a pipe as plain text, with --json a line each. */
import type { AgentItem } from "../../contract/agent-item.ts";
import { itemText } from "../../contract/item-text.ts";
import type { SessionDisplay } from "../relay/session.ts";
import type { Output } from "./output.ts";
import { AgentItemRenderer } from "./render/agent-items.ts";
import { visibleLines } from "./render/text.ts";

export function relayDisplay(output: Output): SessionDisplay {
  const { colors, terminal } = output.style();
  const items = new AgentItemRenderer(colors);
  return {
    item(item: AgentItem): void {
      if (output.json) output.line({ item });
      else output.out.write(terminal ? items.render(item) : itemText(item));
    },
    text(stream, text): void {
      if (output.json) {
        output.line({ stream, text });
        return;
      }
      if (terminal) items.interrupted();
      output.out.write(terminal ? visibleLines(text) : text);
    },
  };
}
