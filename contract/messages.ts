/**
 * What people say to a step while it runs, as pure functions of the run's record. A message is stored before it is
 * answered, sent to the runner on this socket and again on every later one until that one says what became of it, and
 * counts once however often it comes (by its id).
 */
import Type, { type Static } from "typebox";
import { MESSAGE_MAX_CHARS, MESSAGES_KEPT_PER_RUN, MESSAGES_PENDING_MAX } from "./limits.ts";
import type { StepKind } from "./flow-manifest.ts";
import { changed, isTerminal, type RunRecord } from "./run-record.ts";

export const MessageRequest = Type.Object(
  {
    text: Type.String({ minLength: 1, maxLength: MESSAGE_MAX_CHARS }),
    by: Type.Optional(
      Type.String({ minLength: 1, maxLength: 128, description: "Who says it, for the record" }),
    ),
  },
  { additionalProperties: false, $id: "MessageRequest" },
);
export type MessageRequest = Static<typeof MessageRequest>;

/** `steered`: it went into the active turn. `queued`: it begins the next one. */
export const MESSAGE_FATES = ["steered", "queued"] as const;
export type MessageFate = (typeof MESSAGE_FATES)[number];

export interface MessageRecord {
  id: string;
  /** The request by which it was said: the same one says it once. */
  request?: string;
  /** Of one that was delivered, the beginning: the whole of it stands in the run's stream. */
  text: string;
  by: string;
  at: number;
  state: "pending" | MessageFate;
  deliveredAt?: number;
}

export const MessageView = Type.Object(
  {
    id: Type.String(),
    text: Type.String(),
    by: Type.String(),
    at: Type.String({ format: "date-time" }),
    state: Type.String({ description: "pending, steered or queued" }),
  },
  { $id: "Message" },
);
export type MessageView = Static<typeof MessageView>;

/** Kinds of steps that listen, where the step itself does not say. */
const LISTENING: readonly StepKind[] = ["codex"];
const DELIVERED_TEXT_CHARS = 256;
const HIDDEN_TEXT = "(hidden)";

/** Whether what is said to a run reaches anybody. */
export function listens({ step }: Pick<RunRecord, "step">): boolean {
  return step.listens ?? LISTENING.includes(step.runner);
}

export type MessageOutcome =
  | { kind: "stored"; run: RunRecord; message: MessageRecord }
  /** This very request has said it. */
  | { kind: "known"; message: MessageRecord }
  | { kind: "over" }
  | { kind: "deaf" }
  | { kind: "full" };

/** What somebody says. `request`: a key of what brought it, so that what comes twice is said once. */
export interface Saying {
  text: string;
  by: string;
  request?: string | undefined;
}

export function addMessage(run: RunRecord, given: Saying & { now: number }): MessageOutcome {
  const { request } = given;
  const before =
    request === undefined ? undefined : run.messages?.find((message) => message.request === request);
  if (before !== undefined) return { kind: "known", message: before };
  if (isTerminal(run.status)) return { kind: "over" };
  if (!listens(run)) return { kind: "deaf" };
  if (pendingMessages(run).length >= MESSAGES_PENDING_MAX) return { kind: "full" };
  const said = run.messagesSaid ?? 0;
  const message: MessageRecord = {
    id: `m${said + 1}`,
    ...(request === undefined ? {} : { request }),
    text: given.text,
    by: given.by,
    at: given.now,
    state: "pending",
  };
  const messages = [...(run.messages ?? []), message];
  let surplus = messages.length - MESSAGES_KEPT_PER_RUN;
  return {
    kind: "stored",
    message,
    run: changed(run, given.now, {
      messagesSaid: said + 1,
      messages: messages.filter((known) => known.state === "pending" || surplus-- <= 0),
    }),
  };
}

export function pendingMessages(run: RunRecord): MessageRecord[] {
  return (run.messages ?? []).filter((message) => message.state === "pending");
}

/** The runner reports what became of a message. The text of a hidden one is forgotten, as it may be a password. */
export function noteDelivered(
  run: RunRecord,
  { id, fate, hidden = false }: { id: string; fate: MessageFate; hidden?: boolean },
  now: number,
): RunRecord {
  const known = run.messages?.find((message) => message.id === id);
  if (known === undefined || known.state === fate || known.state === "steered") return run;
  return changed(run, now, {
    messages: (run.messages ?? []).map((message) =>
      message.id === id
        ? {
            ...message,
            text: hidden ? HIDDEN_TEXT : message.text.slice(0, DELIVERED_TEXT_CHARS),
            state: fate,
            deliveredAt: now,
          }
        : message,
    ),
  });
}

export function messageView({ id, text, by, at, state }: MessageRecord): MessageView {
  return { id, text, by, at: new Date(at).toISOString(), state };
}
