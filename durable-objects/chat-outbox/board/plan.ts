/**
 * What follows from a look at a run: what is drawn and said where, and what is remembered of it. Pure: rows, a glance and a
 * clock go in, rows and effects come out; the board commits both at once.
 *
 * B1. A message of its own has only an approval, an end, and an agent's items: each once for a place, as its row says.
 * B2. Whatever was posted to be answered is rewritten when it is answered, expires or is withdrawn, in every place.
 * B3. A run is over once: its last card, then how it ended, whether or not its thread exists yet.
 */
import type { ApprovalView } from "../../../contract/approvals.ts";
import { parsePlaceKey, userLabel, type ChatPlace } from "../../../contract/chat/place.ts";
import { formatCursor, OUTPUT_START, parseCursor } from "../../../contract/output-cursor.ts";
import { RELAY_FLOW, RELAY_SUMMARY } from "../../../contract/relay.ts";
import { isTerminal } from "../../../contract/run-record.ts";
import type { OutputChunkView, RunView } from "../../../contract/run-view.ts";
import type { RunGlance } from "../../flow-event/calls.ts";
import type { ChannelFollows } from "../calls.ts";
import { aboutLines, goneCard, nameOf, runCard, shortened, type CardView } from "./cards.ts";
import {
  anchorOfCard,
  anchorOfThread,
  confirmationsOf,
  keyOfApproval,
  keyOfFinal,
  keyOfItems,
  type BoardEffect,
  type Target,
} from "./effects.ts";
import { itemMessages, keyOfAnswer } from "./items.ts";
import {
  answeredApproval,
  approvalMessage,
  confirmedMessage,
  finalMessage,
  threadOpening,
  type EndView,
} from "./posts.ts";
import type { Showing, ShownRun } from "./rows.ts";

/** Output behind a cursor, read with the look. */
export interface ItemPage {
  after: string;
  chunks: OutputChunkView[];
  /** There is more behind it. */
  more: boolean;
}

export interface Look {
  run: ShownRun;
  showings: readonly Showing[];
  /** Undefined: the run is not stored any more. */
  glance: RunGlance | undefined;
  page?: ItemPage | undefined;
  /** Settings of the channel that a place belongs to. */
  viewOf: (place: string) => ChannelFollows;
  /** Places whose card is due although the run has not changed. */
  due: ReadonlySet<string>;
  /** It was said to have changed while the look was under way. */
  again: boolean;
  /** Of its log, as a page for people. */
  logUrl?: string | undefined;
  now: number;
}

export interface Plan {
  run: ShownRun;
  showings: Showing[];
  effects: BoardEffect[];
  /** Places whose card was drawn. */
  drawn: string[];
}

const THREAD_NAME_MAX_CHARS = 90;
/** Of what was asked for: more does not fit into a list of threads on a phone. */
const ASKED_IN_NAME_MAX_CHARS = 60;

/** Undefined: the run was never seen and does not exist: nothing of it needs to be remembered. */
export function planLook(look: Look): Plan | undefined {
  const { glance } = look;
  if (glance === undefined) return planGone(look);
  const run = seen(look, glance.run);
  const state = { run: glance.run, changed: look.run.changed || look.run.phase !== run.phase };
  const parts = look.showings.map((showing) => planShowing(look, run, showing, glance, state.changed));
  return {
    run,
    showings: parts.map(({ showing }) => showing),
    effects: parts.flatMap(({ effects }) => effects),
    drawn: parts.flatMap(({ showing, drawn }) => (drawn ? [showing.place] : [])),
  };
}

/** The row of the run after a look. */
function seen({ run, again, page, now }: Look, view: RunView): ShownRun {
  const { waiting: _waiting, behind: _behind, away: _away, ...rest } = run;
  const phase = isTerminal(view.status) ? "over" : view.status === "queued" ? "queued" : "running";
  const looks = run.phase === "queued" && !run.changed ? (run.waiting?.looks ?? 0) + 1 : 1;
  const tokens = tokensIn(page?.chunks ?? []) ?? run.tokens;
  const summary = summaryIn(page?.chunks ?? []) ?? run.summary;
  const failure = failureIn(page?.chunks ?? []) ?? run.failure;
  return {
    ...rest,
    flow: view.flowName,
    phase,
    changed: again,
    ...(page?.more === true ? { behind: true } : {}),
    ...(phase === "queued" ? { waiting: { at: now, looks } } : {}),
    ...(view.awaySince === undefined ? {} : { away: true }),
    ...(phase === "over" ? { endedAt: run.endedAt ?? now } : {}),
    ...(page === undefined || page.more ? {} : { outputRead: view.outputBytes }),
    ...(tokens === undefined ? {} : { tokens }),
    ...(summary === undefined ? {} : { summary }),
    ...(failure === undefined ? {} : { failure }),
  };
}

/** Why the agent's last turn failed. */
function failureIn(chunks: readonly OutputChunkView[]): string | undefined {
  const item = chunks.findLast((chunk) => chunk.item?.type === "turn")?.item;
  return item?.type === "turn" && item.outcome === "failed" ? item.error?.message : undefined;
}

/** How a relayed session has summed itself up: its last item. */
function summaryIn(chunks: readonly OutputChunkView[]): string | undefined {
  const item = chunks.findLast((chunk) => chunk.item?.type === "activity")?.item;
  if (item?.type !== "activity" || item.state !== "completed" || item.kind !== RELAY_SUMMARY)
    return undefined;
  return shortened(item.text.replaceAll("\n", ", "));
}

function tokensIn(chunks: readonly OutputChunkView[]): number | undefined {
  const usage = chunks.findLast(({ item }) => item?.type === "usage")?.item;
  return usage?.type === "usage" ? usage.thread.totalTokens : undefined;
}

interface Part {
  showing: Showing;
  effects: BoardEffect[];
  drawn: boolean;
}

function planShowing(look: Look, run: ShownRun, before: Showing, glance: RunGlance, changed: boolean): Part {
  const place = parsePlaceKey(before.place);
  if (place === undefined) return { showing: before, effects: [], drawn: false };
  const settings = look.viewOf(before.place);
  const view: CardView = {
    output: settings.output,
    safe: settings.safe,
    logUrl: look.logUrl,
    tokens: run.tokens,
    summary: run.summary,
    failure: run.failure,
  };
  const ends =
    endsHere(before, glance.run, look.run) &&
    !(run.behind === true && wantsItems(before, settings, run.flow));
  const opened = withThread(before, place, glance, view);
  const items = withItems(opened.showing, look, run, settings, place, ends, glance.run.result?.message);
  const asked = withApprovals(items.showing, glance.run, view, place);
  const ended = withEnd(asked.showing, glance, { ...view, answer: items.answer }, place, ends, run);
  // Looks at a run that waits are rare, and are for why it waits; a card that says the same is not sent.
  const drawn = changed || run.phase !== "running" || look.due.has(before.place) || !before.opened;
  const endIsBelow = ends || before.endIsBelow === true;
  const card: BoardEffect = {
    kind: "card",
    anchor: anchorOfCard(before.runId, before.place),
    target: targetOf(before, place),
    message: runCard(glance, { ...view, endIsBelow }),
    urgent: changed,
    // A card that nobody has seen yet would come after the end message and repeat it.
    ...(endIsBelow ? { onlyEdit: true } : {}),
  };
  return {
    showing: ended.showing,
    drawn,
    // A card before what belongs below it; what ended, last.
    effects: [
      ...opened.effects,
      ...(drawn ? [card] : []),
      ...items.effects,
      ...asked.effects,
      ...ended.effects,
    ],
  };
}

interface Step {
  showing: Showing;
  effects: BoardEffect[];
}

function targetOf(showing: Showing, place: ChatPlace): Target {
  return showing.thread ? { thread: anchorOfThread(showing.runId, showing.place) } : place;
}

function withThread(showing: Showing, place: ChatPlace, glance: RunGlance, view: CardView): Step {
  if (showing.opened) return { showing, effects: [] };
  const opened = { ...showing, opened: true };
  if (!showing.thread) return { showing: opened, effects: [] };
  return {
    showing: opened,
    effects: [
      {
        kind: "thread",
        anchor: anchorOfThread(showing.runId, showing.place),
        place,
        name: threadName(glance, view),
        first: threadOpening(glance, view),
      },
    ],
  };
}

/**
 * A thread is named after what was asked for: `fix the tests · 2jcaz4v5_1`; of a relayed session `Codex · fix the tests · …`,
 * and without any such words `release · rebase · …`. The beginning of the run's id tells two of them apart.
 */
export function threadName(
  { run, session, asked }: Pick<RunGlance, "run" | "session" | "asked">,
  { safe }: Pick<CardView, "safe">,
): string {
  const [, key = "", n = ""] = run.id.split("_");
  const short = ` · ${key.slice(0, 8)}_${n}`;
  if (asked !== undefined && !safe) return `${shortened(asked, ASKED_IN_NAME_MAX_CHARS)}${short}`;
  const about = session === undefined ? run.stepName : (aboutLines(session)[0] ?? session.workdir);
  const name = `${nameOf(run, session)} · ${about}`;
  return `${shortened(name, THREAD_NAME_MAX_CHARS - short.length)}${short}`;
}

/**
 * Items go where they disturb nobody else; a channel that wants to see everything gets them too, and one that somebody has
 * opened for relays, and pointed a relay at, gets those of its sessions.
 */
function wantsItems(
  showing: Pick<Showing, "thread" | "place" | "via">,
  { output }: ChannelFollows,
  flow: string,
): boolean {
  if (flow === RELAY_FLOW && showing.via === "origin") return true;
  return showing.thread || output === "verbose" || parsePlaceKey(showing.place)?.thread !== undefined;
}

function withItems(
  showing: Showing,
  { page, now }: Look,
  run: ShownRun,
  settings: ChannelFollows,
  place: ChatPlace,
  ends: boolean,
  result: string | undefined,
): Step & { answer?: string | undefined } {
  // A place that is new since the page was asked for has not read what stands before it.
  if (!wantsItems(showing, settings, run.flow) || isBefore(showing.cursor, page?.after))
    return { showing, effects: [] };
  const { pace: _pace, leftOut: _leftOut, unsaid: _unsaid, answered: _answered, ...rest } = showing;
  const chunks = (page?.chunks ?? []).filter(({ cursor }) => isBefore(showing.cursor, cursor));
  const cursor = chunks.at(-1)?.cursor ?? showing.cursor;
  const over = run.phase === "over" && run.behind !== true;
  const view = { ...settings, asked: showing.user === undefined ? [] : [showing.user.id] };
  const { posts, answer, ...account } = itemMessages(chunks, view, showing, { now, over, ends, result });
  // What is posted without new output was held back before, at most once a minute.
  const batch = chunks.length > 0 ? (cursor ?? "") : over ? "end" : `held ${now}`;
  return {
    showing: { ...rest, ...account, ...(cursor === undefined ? {} : { cursor }) },
    answer,
    effects: posts.map(({ message, class: deliveryClass }, index) => ({
      kind: "post",
      key: keyOfItems(showing.runId, showing.place, batch, index),
      target: targetOf(showing, place),
      class: deliveryClass,
      message,
    })),
  };
}

/** Where the first of the places that want items goes on; undefined: none wants any. */
export function firstCursor(
  showings: readonly Showing[],
  viewOf: (place: string) => ChannelFollows,
  flow: string,
): string | undefined {
  return showings
    .filter((showing) => wantsItems(showing, viewOf(showing.place), flow))
    .map(({ cursor }) => cursor ?? formatCursor(OUTPUT_START))
    .reduce<string | undefined>(
      (first, cursor) => (first === undefined || isBefore(cursor, first) ? cursor : first),
      undefined,
    );
}

/** Of two cursors of a run's output; an absent one is the start. */
function isBefore(a: string | undefined, b: string | undefined): boolean {
  const [left, right] = [parseCursor(a), parseCursor(b)];
  if (left === undefined || right === undefined) return false;
  return left.attempt === right.attempt ? left.seq < right.seq : left.attempt < right.attempt;
}

/** Open ones are posted, answered ones rewritten (B1, B2). */
function withApprovals(showing: Showing, run: RunView, view: CardView, place: ChatPlace): Step {
  const effects: BoardEffect[] = [];
  const now = new Map((run.approvals ?? []).map((approval) => [approval.id, approval]));
  const approvals: Showing["approvals"] = {};
  for (const [id, approval] of now) {
    const known = showing.approvals[id];
    const key = keyOfApproval(showing.runId, showing.place, id);
    if (known === undefined && approval.state !== "pending") continue;
    approvals[id] = approval.state as Showing["approvals"][string];
    if (known === undefined)
      effects.push({
        kind: "post",
        key,
        target: targetOf(showing, place),
        class: "event",
        message: approvalMessage(run, approval, view, showing.user === undefined ? [] : [showing.user.id]),
      });
    else if (known === "pending" && approval.state !== "pending")
      effects.push(
        { kind: "rewrite", key, message: answeredApproval(run.flowName, run.id, approval, view.safe) },
        confirmed(run.id, id, approval),
      );
  }
  effects.push(...forgotten(showing, now, run.flowName, view.safe));
  return { showing: { ...showing, approvals }, effects };
}

/** Those that were open here, and that the run no longer keeps. */
function forgotten(
  { approvals, runId, place }: Showing,
  now: ReadonlyMap<string, ApprovalView>,
  flow: string,
  safe: boolean,
): BoardEffect[] {
  return Object.entries(approvals)
    .filter(([id, state]) => state === "pending" && !now.has(id))
    .flatMap(([id]) => [
      {
        kind: "rewrite",
        key: keyOfApproval(runId, place, id),
        message: answeredApproval(flow, runId, undefined, safe),
      },
      confirmed(runId, id, undefined),
    ]);
}

function confirmed(runId: string, id: string, approval: ApprovalView | undefined): BoardEffect {
  return {
    kind: "rewrite_all",
    prefix: confirmationsOf(runId, id),
    message: confirmedMessage(runId, approval),
  };
}

/** Whether an end message is due in a place: it was there when the run ended, and has none yet (B3). */
function endsHere(showing: Showing, run: RunView, before: ShownRun): boolean {
  return isTerminal(run.status) && !showing.final && !isShownLate(showing, run, before);
}

/** Somebody wanted to see a run that had long been over. */
function isShownLate(showing: Showing, run: RunView, before: ShownRun): boolean {
  const known = before.phase !== "unseen" && before.phase !== "over";
  const late = Date.parse(run.completedAt ?? run.updatedAt) < showing.shownAt;
  return showing.via === "present" && late && !known;
}

function withEnd(
  showing: Showing,
  glance: RunGlance,
  view: EndView,
  place: ChatPlace,
  ends: boolean,
  after: ShownRun,
): Step {
  const { run, session, lines } = glance;
  if (!ends)
    return {
      showing: { ...showing, final: showing.final || (isTerminal(run.status) && after.behind !== true) },
      effects: [],
    };
  const isAnswered = showing.answered !== undefined && showing.answered === keyOfAnswer(run.result?.message);
  return {
    showing: { ...showing, final: true, endIsBelow: true },
    effects: [
      {
        kind: "post",
        key: keyOfFinal(showing.runId, showing.place),
        target: targetOf(showing, place),
        class: "final",
        message: finalMessage(run, { ...view, isAnswered, lines }, toldOfEnd(showing, run, place), session),
      },
    ],
  };
}

/** Who asked for a run is told of its end, but not of a cancel of his own. */
function toldOfEnd({ user }: Showing, run: RunView, { platform }: ChatPlace): string[] {
  if (user === undefined || run.effectiveStatus === "skipped") return [];
  return run.status === "canceled" && run.cancel?.by === userLabel(platform, user) ? [] : [user.id];
}

function planGone({ run, showings, again, now }: Look): Plan | undefined {
  if (run.phase === "unseen") return undefined;
  const over = run.phase === "over";
  return {
    run: { ...run, phase: "over", changed: again, endedAt: run.endedAt ?? now },
    showings: showings.map((showing) => ({ ...showing, approvals: {}, final: true })),
    effects: showings.flatMap((showing) => {
      const place = parsePlaceKey(showing.place);
      if (place === undefined) return [];
      const card: BoardEffect = {
        kind: "card",
        anchor: anchorOfCard(run.runId, showing.place),
        target: targetOf(showing, place),
        message: goneCard(run.flow, run.runId),
        urgent: false,
      };
      return [...forgotten(showing, new Map(), run.flow, true), ...(over && showing.final ? [] : [card])];
    }),
    drawn: [],
  };
}
