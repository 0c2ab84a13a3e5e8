/** How the chat side of the edge fares: what waits in the platform's outbox, what is wrong there, what was done last. */
import type { ChatScope } from "../../contract/chat/scopes.ts";
import type { AuditRow, RefusedLately } from "../../durable-objects/chat-access/calls.ts";
import { CHAT_ACCESS } from "../../durable-objects/chat-access/naming.ts";
import type { ChatOutboxStatus } from "../../durable-objects/chat-outbox/calls.ts";
import type { Env } from "../env.ts";
import { said, type ChatAnswer } from "./answer.ts";
import type { Asker } from "./asker.ts";
import { outboxStatus } from "./outbox.ts";

const AUDIT_ROWS = 8;
const PARKED_MAX = 8;
const KINDS_MAX = 12;

/** The last rows of the audit, and what was refused, are for those with `admin`. */
export async function status(env: Env, asker: Asker, scopes: ReadonlySet<ChatScope>): Promise<ChatAnswer> {
  const access = env.CHAT_ACCESS.getByName(CHAT_ACCESS);
  const [outbox, rows, refusals] = await Promise.all([
    outboxStatus(env, asker.place.platform),
    scopes.has("admin") ? access.audit({}, undefined, AUDIT_ROWS) : [],
    scopes.has("admin") ? access.refusedLately() : [],
  ]);
  const well = outbox !== undefined && outbox.halted === undefined && outbox.parked.length === 0;
  return said("shown", well ? "All is well" : "Something is wrong", {
    tone: well ? "good" : "attention",
    lines: [
      ...(outbox === undefined ? ["The bot's outbox does not answer."] : outboxLines(outbox)),
      ...(refusals.length === 0 ? [] : [`Refused at the doors within an hour: ${refusedWords(refusals)}`]),
      ...(rows.length === 0 ? [] : ["Last acts:"]),
      ...rows.map(auditLine),
    ],
  });
}

function outboxLines({
  waiting,
  oldestMs,
  sent,
  edited,
  retried,
  refused: notTaken,
  limited,
  halted,
  parked,
  shownRuns,
  polling,
}: ChatOutboxStatus): string[] {
  const total = waiting.final + waiting.event + waiting.state;
  const oldest = oldestMs === undefined ? "" : `, the oldest for ${Math.round(oldestMs / 1000)} s`;
  const errors = [
    ...(retried === 0 ? [] : [`${retried} tried again`]),
    ...(notTaken === 0 ? [] : [`${notTaken} refused`]),
    ...(limited === 0 ? [] : [`limited ${limited === 1 ? "once" : `${limited} times`}`]),
  ];
  const counts = `${sent} sent, ${edited} ${edited === 1 ? "edit" : "edits"}, ${errors.join(", ") || "no errors"}`;
  return [
    `${total === 0 ? "Queue empty" : `${total} ${total === 1 ? "message" : "messages"} waiting${oldest}`} · ${counts}`,
    `${shownRuns} ${shownRuns === 1 ? "run" : "runs"} shown`,
    ...(halted === undefined ? [] : [`Nothing is sent: ${halted.code} ${halted.message}`]),
    ...parked.slice(0, PARKED_MAX).map((one) => `${one.place} takes nothing: ${one.code} ${one.message}`),
    ...(polling === undefined
      ? []
      : [
          polling.usually
            ? `Plain messages: on (turn off with /channel set listen) · ${polling.threads} threads`
            : `Plain messages: off (turn on with /channel set listen) · ${polling.threads} threads`,
        ]),
  ];
}

function refusedWords(refusals: RefusedLately[]): string {
  const kinds = refusals
    .slice(0, KINDS_MAX)
    .map(({ platform, act, times }) => `${times} × ${act} (${platform})`);
  return [...kinds, ...(refusals.length > KINDS_MAX ? ["…"] : [])].join(", ");
}

export function auditLine({ at, user, act, subject, verdict, outcome, times }: AuditRow): string {
  return [
    new Date(at).toISOString().slice(0, 19),
    `${user.name} (${user.id})`,
    act,
    ...(subject === undefined ? [] : [subject]),
    verdict,
    ...(outcome === undefined ? [] : [outcome]),
    ...(times === undefined ? [] : [`${times} times`]),
  ].join(" · ");
}
