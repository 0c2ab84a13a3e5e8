/** Events as text: the list, one event with its runs, and what came of sending one. */
import type {
  DispatchAnswer,
  DryRunAnswer,
  EventDetail,
  EventPage,
  EventView,
} from "../../../client/http.ts";
import { moreText, progressLine, runTable } from "./run.ts";
import { table } from "./table.ts";
import {
  countText,
  cutText,
  fields,
  indent,
  indented,
  isNarrow,
  jsonText,
  nextSteps,
  paragraphs,
  section,
  argumentWord,
  timeText,
  visible,
  type Style,
} from "./text.ts";

/** Columns of a narrow table that are neither the event's id nor its type. */
const NARROW_FIXED_CHARS = 28;

export function eventTable(style: Style, events: readonly EventView[]): string {
  const narrow = isNarrow(style);
  const room = style.width - NARROW_FIXED_CHARS;
  const [idColumns, typeColumns] = narrow
    ? [Math.floor(room * 0.6), Math.floor(room * 0.4)]
    : [Infinity, Infinity];
  return table(
    style,
    ["event", "type", ...(narrow ? [] : ["source"]), "received", "matched"],
    events.map((event) => [
      cutText(visible(event.id), idColumns),
      cutText(visible(event.type), typeColumns),
      ...(narrow ? [] : [visible(event.source ?? "")]),
      timeText(style, event.receivedAt),
      event.matched === 0 ? style.colors.dim("nothing") : countText(event.matched, "step"),
    ]),
  );
}

export function renderEventList(style: Style, page: EventPage, more: string): string {
  if (page.events.length === 0) return "no events";
  return paragraphs([eventTable(style, page.events), moreText(style, page.nextCursor, more)]);
}

export function renderEvent(style: Style, detail: EventDetail): string {
  const { event, runs } = detail;
  const { conflicts } = event;
  const id = argumentWord(event.id);
  return paragraphs([
    `${style.colors.bold(visible(event.id))}  ${visible(event.type)}`,
    fields(style, [
      ["source", visible(event.source ?? "")],
      ["occurred", timeText(style, event.occurredAt)],
      ["received", timeText(style, event.receivedAt)],
      ["chain", chainText(event)],
      [
        "conflicts",
        conflicts === undefined
          ? ""
          : style.colors.red(
              `${countText(conflicts.count, "differing event")} came with this id, last ${timeText(style, conflicts.lastAt)}; the first one stands`,
            ),
      ],
    ]),
    section(style, "payload", indent(jsonText(event.payload))),
    section(
      style,
      "runs",
      runs.length === 0 ? "  none: no deployed step matched" : indent(runTable(indented(style), runs)),
    ),
    nextSteps(style, [
      ...(runs[0] === undefined
        ? []
        : ([[`codex-flow runs show ${runs[0].id}`, "one run, with all that is known"]] satisfies Array<
            [string, string]
          >)),
      [`codex-flow events replay ${id}`, "match it again with the flows deployed now"],
    ]),
  ]);
}

function chainText(event: EventView): string {
  if (event.parentRunId === undefined) return "";
  return `sent by run ${visible(event.parentRunId)}, depth ${event.depth ?? 0}, first event ${visible(event.rootId ?? "")}`;
}

/** One line: what the edge did with an event that was sent or replayed. */
export function renderDispatched({ colors }: Style, answer: DispatchAnswer): string {
  const id = colors.bold(visible(answer.eventId));
  return answer.status === "duplicate"
    ? `${colors.yellow("duplicate")}  ${id} was stored before, with ${countText(answer.runIds.length, "run")}`
    : `${colors.green("accepted")}  ${id} ${answer.matched === 0 ? "matches no deployed step" : `started ${countText(answer.matched, "run")}`}`;
}

/** The same with its runs, and how to go on. */
export function renderDispatch(style: Style, answer: DispatchAnswer): string {
  const { colors } = style;
  return paragraphs([
    renderDispatched(style, answer),
    answer.conflict === true
      ? colors.red(
          "the event stored with this id has another type, source or payload; what was sent now is not run",
        )
      : "",
    missesText(style, answer.misses ?? []),
    answer.runs.map((run) => `  ${progressLine(style, run)}`).join("\n"),
    nextSteps(style, dispatchNextSteps(answer)),
  ]);
}

/** How to run a stored event again. Behind an id that looks like an option, no option can follow. */
export function replayCommand(eventId: string): string {
  return `codex-flow events replay ${argumentWord(eventId)}${eventId.startsWith("-") ? "" : " --wait"}`;
}

function dispatchNextSteps(answer: DispatchAnswer): Array<[string, string]> {
  const [first] = answer.runIds;
  if (answer.conflict === true)
    return [[`codex-flow events show ${argumentWord(answer.eventId)}`, "what is stored with this id"]];
  const again: Array<[string, string]> =
    answer.status === "duplicate" ? [[replayCommand(answer.eventId), "run it again"]] : [];
  if (first === undefined)
    return [
      ...again,
      ["codex-flow flows list --deployed", "the steps that the edge knows, and their types"],
      ["codex-flow dispatch --dry-run …", "why a step of this type does not match"],
    ];
  return [
    ...again,
    [`codex-flow runs logs -f ${first}`, "follow what it prints"],
    [`codex-flow runs show ${first}`, "how it stands"],
  ];
}

export function renderDryRun(style: Style, answer: DryRunAnswer): string {
  const { colors } = style;
  const matches = answer.matches.map(
    (match) =>
      `  ${colors.green("matches")}  ${visible(`${match.flow}/${match.step}`)}  ${colors.dim(`pool ${visible(match.pool)}`)}`,
  );
  const misses = missesText(style, answer.misses);
  if (matches.length === 0 && misses === "")
    return `${visible(answer.eventId)}: no deployed step waits for this type (nothing was stored)`;
  return [`${visible(answer.eventId)} (nothing was stored)`, ...matches, misses]
    .filter((part) => part !== "")
    .join("\n");
}

/** The steps that wait for the event's type, and why each does not start. */
function missesText({ colors }: Style, misses: DryRunAnswer["misses"]): string {
  return misses
    .flatMap((miss) => [
      `  ${colors.yellow("no match")} ${visible(`${miss.flow}/${miss.step}`)}`,
      ...miss.errors.map((error) => `      ${visible(error.path)} ${visible(error.message)}`),
    ])
    .join("\n");
}
