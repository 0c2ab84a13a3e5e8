/**
 * The second press that approves something dangerous. Its button says what is approved, who alone may press it and until when,
 * so that neither an old message nor another person's message approves anything. A decided approval stays decided, so that a
 * button cannot be used twice.
 */
import type { ApprovalDecision } from "../../contract/approvals.ts";
import { encodeAction, type ChatAction } from "../../contract/chat/action.ts";
import type { ChatButton, ChatMessage } from "../../contract/chat/message.ts";
import type { Asker } from "./asker.ts";

export interface Confirmation {
  decision: ApprovalDecision;
  approval: string;
  /** Id of the only user who may confirm. */
  user: string;
  /** Epoch ms after which the button approves nothing; kept to the minute. */
  expiresAt: number;
}

/** How long the second press is accepted, ms. */
export const CONFIRM_WITHIN_MS = 10 * 60_000;
const MINUTE_MS = 60_000;
const BASE = 36;

const LETTERS = { accept: "a", accept_for_session: "s", decline: "d", cancel: "c" } as const satisfies Record<
  ApprovalDecision,
  string
>;

/** `a<minute>:<user>:<approval>`, numbers in base 36: a button has room for 64 bytes. */
export function confirmation({ decision, approval, user, expiresAt }: Confirmation): string {
  const minute = Math.ceil(expiresAt / MINUTE_MS).toString(BASE);
  // A Discord id has more digits than a number keeps.
  return `${LETTERS[decision]}${minute}:${BigInt(user).toString(BASE)}:${approval}`;
}

/** Undefined for a text that this version has not written. */
export function readConfirmation(text: string): Confirmation | undefined {
  const [, letter, minute = "", user = "", approval] =
    /^([asdc])([0-9a-z]{1,7}):([0-9a-z]{1,13}):([A-Za-z0-9_-]{1,64})$/.exec(text) ?? [];
  const decision = (Object.keys(LETTERS) as ApprovalDecision[]).find((known) => LETTERS[known] === letter);
  if (decision === undefined || approval === undefined) return undefined;
  return { decision, approval, user: readBase36(user), expiresAt: parseInt(minute, BASE) * MINUTE_MS };
}

function readBase36(text: string): string {
  let value = 0n;
  for (const digit of text) value = value * BigInt(BASE) + BigInt(parseInt(digit, BASE));
  return value.toString();
}

/** Asks for the second press. Discord shows it to the asker alone; a Telegram group sees it and is told who may press. */
export function confirmationMessage(
  asker: Asker,
  given: { runId: string; approval: string; decision: ApprovalDecision; title: string },
  now: number,
): ChatMessage {
  const { runId, approval, decision, title } = given;
  const { place, user } = asker;
  const more = confirmation({ decision, approval, user: user.id, expiresAt: now + CONFIRM_WITHIN_MS });
  const yes = button("Yes, run it", "danger", { act: "confirm", runId, more });
  const only = place.platform === "telegram" ? [`Only ${user.name} can confirm it.`] : [];
  return {
    tone: "waiting",
    title: "This leaves the sandbox. Run it?",
    lines: [title, runId, ...(yes.length === 0 ? [confirmByCommand(runId, approval)] : only)],
    buttons: [[...yes, ...button("No", "secondary", { act: "deny", runId, more: approval })]],
  };
}

/** For ids that do not fit into a button. */
function confirmByCommand(runId: string, approval: string): string {
  return `Confirm it on a terminal: codex-flow approvals accept ${runId} ${approval}`;
}

function button(label: string, style: ChatButton["style"], given: ChatAction): ChatButton[] {
  const action = encodeAction(given);
  return action === undefined ? [] : [{ label, style, action }];
}
