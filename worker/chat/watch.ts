/** What people look at from a chat: lists, one run, the end of its output, the runners, what an event would start. */
import { isBadEnd } from "../../contract/attention.ts";
import { encodeAction, type ChatActionName } from "../../contract/chat/action.ts";
import { endOf } from "../../contract/chat/short-text.ts";
import type { ChatButton, ChatMessage, ChatTone } from "../../contract/chat/message.ts";
import { matchEvent } from "../../contract/matching.ts";
import { iso, type EventView, type RunSummary, type RunView } from "../../contract/run-view.ts";
import { glanceAtSettings } from "../../durable-objects/channel-settings/client.ts";
import { changesOf } from "../../durable-objects/chat-outbox/board/changes.ts";
import { logLinkForAnswer } from "../../durable-objects/chat-outbox/log-link.ts";
import { outboxName } from "../../durable-objects/chat-outbox/naming.ts";
import { whyWaiting } from "../../durable-objects/runner-pool/why-waiting.ts";
import { catalog, poolNames } from "../catalog/catalog.ts";
import type { Env } from "../env.ts";
import { listPage } from "../listing.ts";
import { refused, said, type ChatAnswer } from "./answer.ts";
import type { Asker } from "./asker.ts";
import { faultsOfAll } from "./faults.ts";
import { locateRun, unknownRun } from "./located.ts";
import { typedPayload } from "./start.ts";

/** Items of a list in a message. */
export const CHAT_LIST_ITEMS = 20;
/** Runners and waiting runs that a message names. */
const NAMED_MAX = 20;
const LOG_LINES_MAX_CHARS = 3_500;

export async function listRuns(env: Env, filter: { status?: string; flow?: string }): Promise<ChatAnswer> {
  const { items, nextCursor } = await newestRuns(env, filter, CHAT_LIST_ITEMS);
  return said(`listed ${items.length}`, items.length === 0 ? "No runs" : "Runs, newest first", {
    tone: "neutral",
    lines: [...items.map(runLine), ...(nextCursor === undefined ? [] : ["Older ones: codex-flow runs list"])],
  });
}

export async function newestRuns(
  env: Env,
  filter: { status?: string; flow?: string },
  limit: number,
): Promise<{ items: RunSummary[]; nextCursor: string | undefined }> {
  return listPage<RunSummary>(env, undefined, limit, (ledger, before, count) =>
    ledger.listRuns(filter, before, count),
  );
}

export async function listEvents(env: Env, filter: { type?: string }): Promise<ChatAnswer> {
  const { items, nextCursor } = await listPage<EventView>(
    env,
    undefined,
    CHAT_LIST_ITEMS,
    (ledger, before, count) => ledger.listEvents(filter, before, count),
  );
  return said(`listed ${items.length}`, items.length === 0 ? "No events" : "Events, newest first", {
    tone: "neutral",
    lines: [
      ...items.map(
        (event) =>
          `${event.createdAt} ${event.type} · ${event.matched === 1 ? "1 step" : `${event.matched} steps`} · ${event.id}`,
      ),
      ...(nextCursor === undefined ? [] : ["Older ones: codex-flow events list"]),
    ],
  });
}

export async function showRun(env: Env, runId: string): Promise<ChatAnswer> {
  const { object, n } = locateRun(env, runId);
  const run = await object.runView(n);
  if (run === undefined) throw unknownRun(runId);
  const waiting = run.status === "queued" ? await whyWaiting(env, run) : undefined;
  return { kind: "message", outcome: "shown", message: runMessage(run, waiting?.message) };
}

/** @param waiting why it waits */
function runMessage(run: RunView, waiting: string | undefined): ChatMessage {
  const runner = run.attempts.at(-1)?.runnerName;
  const fields = [
    { name: "status", value: run.effectiveStatus },
    { name: "attempts", value: String(run.attemptCount) },
    ...(runner === undefined ? [] : [{ name: "runner", value: runner }]),
    ...(run.requestedBy === undefined ? [] : [{ name: "asked by", value: run.requestedBy }]),
    { name: "event", value: run.eventId },
  ];
  return {
    tone: toneOf(run),
    title: `${run.flowName}/${run.stepName}`,
    lines: [
      run.id,
      ...(waiting === undefined ? [] : [`Waits: ${waiting}`]),
      ...(run.pendingApprovals === undefined ? [] : [`Waits for leave: ${run.pendingApprovals} open`]),
      ...(run.awaySince === undefined ? [] : [`Its box is away since ${run.awaySince}`]),
      ...(run.result?.message === undefined ? [] : [run.result.message]),
      ...(run.error === undefined ? [] : [run.error]),
    ],
    fields,
    since: Date.parse(run.startedAt ?? run.createdAt),
    buttons: [buttonsOf(run)],
  };
}

function buttonsOf(run: RunView): ChatButton[] {
  const button = (label: string, style: ChatButton["style"], act: ChatActionName): ChatButton[] => {
    const action = encodeAction({ act, runId: run.id });
    return action === undefined ? [] : [{ label, style, action }];
  };
  const live = run.completedAt === undefined;
  return [
    ...(live ? button("Cancel", "danger", "cancel") : button("Replay", "primary", "replay")),
    ...(live && run.listens === true ? button("Reply", "primary", "reply") : []),
    ...(live ? button("Follow", "secondary", "follow") : []),
    ...button("Logs", "secondary", "logs"),
  ];
}

export function toneOf(run: RunSummary | RunView): ChatTone {
  if (run.pendingApprovals !== undefined || run.awaySince !== undefined) return "waiting";
  if (isBadEnd(run.effectiveStatus)) return run.effectiveStatus === "failed" ? "bad" : "attention";
  switch (run.effectiveStatus) {
    case "queued":
    case "running":
      return run.effectiveStatus;
    case "canceled":
      return "stopped";
    default:
      return "good";
  }
}

/** The end of a run's output. */
export async function logs(env: Env, asker: Asker, runId: string): Promise<ChatAnswer> {
  const { object, n } = locateRun(env, runId);
  const { platform } = asker.place;
  const glance = await object.glance(n, outboxName(env, platform) ?? platform);
  if (glance === undefined) throw unknownRun(runId);
  const { run, lines } = glance;
  const text = endOf(lines.join("\n"), LOG_LINES_MAX_CHARS);
  const { safe } = await glanceAtSettings(env, asker.place);
  const leftOut = safe && isRead(asker);
  const url = safe ? undefined : logLinkForAnswer(env, env.CODEX_FLOW_PUBLIC_URL ?? "", run.id, Date.now());
  return said("shown", `The end of ${run.flowName}/${run.stepName}`, {
    tone: toneOf(run),
    lines: [
      run.id,
      ...(text === "" ? ["It has printed nothing yet."] : []),
      ...(leftOut && text !== "" ? [`${LEFT_OUT} codex-flow runs logs ${run.id}`] : []),
    ],
    ...(text === "" || leftOut ? {} : { code: { text } }),
    ...(url === undefined ? {} : { links: [{ label: "Whole log, for an hour", url }] }),
  });
}

/**
 * Whether bodies are left out of an answer. On Discord only who has asked sees it, and may have to: an approver wants to know
 * what he allows. Telegram knows no such answers: there everybody in the chat reads along.
 */
async function isSafe(env: Env, asker: Asker): Promise<boolean> {
  return isRead(asker) && (await glanceAtSettings(env, asker.place)).safe;
}

/** By others than who has asked. */
function isRead({ place }: Asker): boolean {
  return place.platform === "telegram";
}

const LEFT_OUT = "This chat is in safe mode, which leaves it out here. On a command line:";

/** What a run has changed: the diff that its step has left, or else its files, each with how many lines. */
export async function diff(env: Env, asker: Asker, runId: string): Promise<ChatAnswer> {
  const { object, n } = locateRun(env, runId);
  const run = await object.runView(n);
  if (run === undefined) throw unknownRun(runId);
  const changes = changesOf(run);
  if (changes === undefined) return refused("no_diff", "This run has left no diff", [runId]);
  const { summary, code } = changes;
  const safe = await isSafe(env, asker);
  return said("shown", `Changes of ${run.flowName}/${run.stepName}`, {
    tone: "neutral",
    lines: [runId, ...summary, ...(safe ? [`${LEFT_OUT} codex-flow runs show ${runId}`] : [])],
    ...(safe || code === undefined ? {} : { code }),
  });
}

/** An approval, whole. */
export async function approvalDetails(
  env: Env,
  asker: Asker,
  runId: string,
  approvalId: string,
): Promise<ChatAnswer> {
  const { object, n } = locateRun(env, runId);
  const run = await object.runView(n);
  if (run === undefined) throw unknownRun(runId);
  const approval = run.approvals?.find(({ id }) => id === approvalId);
  if (approval === undefined)
    return refused("approval_not_found", `Run ${runId} has asked for no ${approvalId}`);
  const { title, state, kind, cwd, reason, detail, decidedBy } = approval;
  const leftOut = detail !== undefined && (await isSafe(env, asker));
  return said("shown", title, {
    tone: state === "pending" ? "waiting" : "neutral",
    lines: [
      ...(reason === undefined ? [] : [reason]),
      ...(leftOut ? [`${LEFT_OUT} codex-flow approvals list`] : []),
    ],
    fields: [
      { name: "state", value: decidedBy === undefined ? state : `${state} by ${decidedBy}` },
      { name: "kind", value: kind },
      ...(cwd === undefined ? [] : [{ name: "in", value: cwd }]),
    ],
    ...(detail === undefined || leftOut ? {} : { code: { text: detail } }),
  });
}

export async function runners(env: Env): Promise<ChatAnswer> {
  const views = await Promise.all(poolNames.map((name) => env.POOLS.getByName(name).view()));
  const known = views.flatMap((view) => view.runners);
  const waiting = views.flatMap((view) => view.waiting);
  return said(`listed ${known.length}`, known.length === 0 ? "No runner is known" : "Runners", {
    tone: known.some(({ state }) => state === "connected") ? "good" : "attention",
    lines: [
      ...known
        .slice(0, NAMED_MAX)
        .map(
          ({ name, pool, state, active, capacity, trouble }) =>
            `${name} · ${pool} · ${state} · ${active.length}/${capacity} busy${trouble === undefined ? "" : ` · ${trouble}`}`,
        ),
      ...(waiting.length === 0
        ? []
        : [waiting.length === 1 ? "1 run is waiting:" : `${waiting.length} runs are waiting:`]),
      ...waiting
        .slice(0, NAMED_MAX)
        .map(({ runId, flow, step, reason }) => `${flow}/${step} ${runId}: ${reason.message}`),
    ],
  });
}

/** Which steps an event would start, and why the others of its type would not. Starts nothing. */
export function dryRun({ type, payload }: { type: string; payload: string }): ChatAnswer {
  const read = typedPayload(payload);
  if ("fault" in read) return refused("invalid_json", "The payload is not JSON", [read.fault]);
  const event = { id: "dry-run", type, payload: read.value, receivedAt: iso(Date.now()) };
  const { matches, misses } = matchEvent(event, catalog);
  return said("shown", matches.length === 0 ? "It would start nothing" : `It would start ${matches.length}`, {
    tone: matches.length === 0 ? "attention" : "good",
    lines: [
      ...matches.map(({ flow, step }) => `${flow.name}/${step.name} in pool ${step.pool}`),
      ...misses.flatMap(({ flow, step, errors }) =>
        faultsOfAll(errors).map((fault) => `${flow.name}/${step.name} would not start: ${fault}`),
      ),
      ...(matches.length + misses.length === 0 ? [`No deployed flow waits for ${type}`] : []),
    ],
  });
}

function runLine(run: RunSummary): string {
  return `${run.createdAt} ${run.flowName}/${run.stepName} · ${run.effectiveStatus} · ${run.id}`;
}
