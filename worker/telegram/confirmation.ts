/**
 * The second step of something dangerous, as a button tells it: what is allowed, for how long, and who alone may press it.
 * Short, since a button has room for 64 bytes.
 */
import type { ApprovalDecision } from "../../contract/approvals.ts";

export interface Confirmation {
  decision: ApprovalDecision;
  approval: string;
  /** Id of the user who was asked to confirm. */
  user: string;
}

const LETTERS = { accept: "a", accept_for_session: "s", decline: "d", cancel: "c" } as const satisfies Record<
  ApprovalDecision,
  string
>;

/** `a:<user in base 36>:<approval>` */
export function confirmation({ decision, approval, user }: Confirmation): string {
  return `${LETTERS[decision]}:${Number(user).toString(36)}:${approval}`;
}

export function readConfirmation(text: string): Confirmation | undefined {
  const [, letter, user = "", approval] =
    /^([asdc]):([0-9a-z]{1,11}):([A-Za-z0-9_-]{1,64})$/.exec(text) ?? [];
  const decision = (Object.keys(LETTERS) as ApprovalDecision[]).find((known) => LETTERS[known] === letter);
  if (decision === undefined || approval === undefined) return undefined;
  return { decision, approval, user: String(parseInt(user, 36)) };
}
