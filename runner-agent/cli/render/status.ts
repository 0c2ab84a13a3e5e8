/** One screen: is the edge there, as whom do I speak, who works, what waits, what needs somebody. */
import type { EventView, RunSummary, RunnersAnswer } from "../../../client/http.ts";
import type { ChatOutboxView } from "../../../contract/chat/requests.ts";
import type { Connection } from "../configuration.ts";
import { eventTable } from "./event.ts";
import { waitingText } from "./runners.ts";
import { runTable } from "./run.ts";
import { chatLines, chatTroubles } from "./chats.ts";
import { countText, fields, indent, indented, paragraphs, section, type Style } from "./text.ts";

export interface StatusView extends RunnersAnswer {
  /** The runs that wait for a person, as many as the screen shows: those with open approvals first, then newest first. */
  attention: RunSummary[];
  /** More wait for a person than are shown. */
  moreAttention?: boolean;
  events: EventView[];
  chats: ChatOutboxView[];
}

/** What is known before a token is asked for. */
export function renderReachable(style: Style, connection: Connection, latencyMs: number): string {
  const { url, token } = connection;
  return fields(style, [
    ["edge", `${url.value} ${style.colors.dim(`(${url.from})`)}`],
    ["answers", style.colors.green(`in ${Math.round(latencyMs)} ms`)],
    ["token", token === undefined ? style.colors.yellow("none") : `from ${token.from}`],
  ]);
}

export function renderStatus(style: Style, view: StatusView): string {
  const connected = view.runners.filter((runner) => runner.state !== "disconnected");
  const busy = connected.reduce((sum, runner) => sum + runner.active.length, 0);
  const capacity = connected.reduce((sum, runner) => sum + runner.capacity, 0);
  const runners =
    connected.length === 0
      ? style.colors.yellow("none connected; start one with `codex-flow runner start`")
      : `${connected.length} connected, ${busy} of ${capacity} places busy`;
  return paragraphs([
    fields(style, [
      ["runners", runners],
      ["waiting", countText(view.waiting.length, "run")],
      ...view.chats.map((chat): [string, string] => [chat.platform, chatLines(style, chat)]),
    ]),
    chatTroubles(style, view.chats),
    section(style, "waiting runs", waitingText(style, view.waiting)),
    section(
      style,
      "needs attention",
      view.attention.length === 0 ? "  nothing" : indent(runTable(indented(style), view.attention)),
    ),
    view.moreAttention === true ? style.colors.dim("more: codex-flow runs list --attention") : "",
    section(
      style,
      "latest events",
      view.events.length === 0 ? "  none" : indent(eventTable(indented(style), view.events)),
    ),
  ]);
}
