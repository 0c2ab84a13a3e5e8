/** How delivery to the chats stands: a line for each bot, and what keeps messages from going out. */
import type { ChatOutboxView } from "../../../contract/chat/requests.ts";
import { countText, indent, section, type Style } from "./text.ts";

/** One line: what waits, whether anything is wrong, and how it went so far. */
export function chatLines({ colors }: Style, chat: ChatOutboxView): string {
  const waiting = chat.waiting.final + chat.waiting.event + chat.waiting.state;
  const said = waiting === 0 ? "nothing waits" : `${countText(waiting, "message")} to be sent`;
  const shown = chat.shownRuns === 0 ? "" : `, ${countText(chat.shownRuns, "run")} shown`;
  const wrong = chat.halted === undefined && chat.parked.length === 0 ? "" : colors.red(", see below");
  const { sent, edited, retried, refused } = chat;
  const counted = `; ${sent} sent, ${edited} edited, ${retried} tried again, ${refused} refused`;
  return `${said}${shown}${wrong}${counted}`;
}

/** Empty when every message goes where it should. */
export function chatTroubles(style: Style, chats: ChatOutboxView[]): string {
  const lines = chats.flatMap(({ platform, halted, parked }) => [
    ...(halted === undefined
      ? []
      : [
          `${platform}: nothing is sent${halted.until === undefined ? "" : ` until ${new Date(halted.until).toISOString()}`}: ${halted.message} (${halted.code})`,
        ]),
    ...parked.map(
      ({ place, code, message, waiting }) =>
        `${place}: ${message} (${code}), ${countText(waiting, "message")} held`,
    ),
  ]);
  return section(style, "chats", indent(lines.join("\n")));
}
