/** How a body becomes a message: the rules, then the state. Shared by everything that posts or edits. */
import { DiscordError, invalidForm, refusal } from "./errors.ts";
import {
  applied,
  brokenMessageRules,
  rung,
  type BrokenRule,
  type MessageBody,
  type MessageContext,
} from "./message-rules.ts";
import { LOADING, SUPPRESS_NOTIFICATIONS, type Message, type World } from "./world.ts";

/** Which of our own rules refused a body, for the ledger of faults. */
export class RuleError extends DiscordError {
  readonly rule: string;

  constructor({ status, code, message, errors }: DiscordError, rule: string) {
    super(status, code, message, errors);
    this.rule = rule;
  }
}

/** Reports what Discord tolerates; throws for what it does not. */
export function checkMessage(
  body: MessageBody,
  context: MessageContext,
  report: (rule: string, message: string) => void,
  at: string[] = [],
): void {
  const broken = brokenMessageRules(body, context);
  for (const { rule, message } of broken.filter(({ tolerated }) => tolerated === true)) report(rule, message);
  throwBroken(broken, at);
}

/** Throws for the rules that Discord itself keeps. */
export function throwBroken(broken: BrokenRule[], at: string[] = []): void {
  const refused = broken.filter(({ tolerated }) => tolerated !== true);
  const [first] = refused;
  if (first === undefined) return;
  const error =
    first.rule === "empty_message"
      ? refusal("emptyMessage")
      : invalidForm(refused.map(({ path, message }) => ({ path: [...at, ...path], message })));
  throw new RuleError(error, first.rule);
}

/** Stores a message that the app makes. */
export function post(
  world: World,
  channelId: string,
  body: MessageBody,
  more: Partial<Message> = {},
): Message {
  const shown = applied(body, undefined);
  const silent = (shown.flags & SUPPRESS_NOTIFICATIONS) !== 0;
  const nonce = body.nonce ?? undefined;
  return world.addMessage(channelId, more.author ?? world.app, shown, {
    rings: silent ? [] : rung(shown, body.allowed_mentions),
    replyTo: body.message_reference?.message_id,
    nonce: nonce === undefined ? undefined : String(nonce),
    ...more,
  });
}

/** Checks an edit and stores it; whatever an edit shows, the message is not loading any more. */
export function edit(
  world: World,
  message: Message,
  body: MessageBody,
  report: (rule: string, message: string) => void,
): void {
  const existing = { ...message, flags: message.flags & ~LOADING };
  checkMessage(body, { mayBeEphemeral: false, existing }, report);
  world.editMessage(message, applied(body, existing));
}
