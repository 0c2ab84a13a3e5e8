/**
 * What Telegram's answers mean. The Bot API documents no error texts; these are the ones that its server
 * (tdlib/telegram-bot-api) is known to send, looked for without regard to case.
 */
import type { Job, Outcome, PlatformAnswer } from "../delivery/platform.ts";

const MS_PER_SECOND = 1000;
/** Telegram counts in whole seconds; a message a moment too early is limited anew. */
const MARGIN_SECONDS = 1;
const UNKNOWN_WAIT_SECONDS = 5;
const MESSAGE_MAX_CHARS = 300;

type Meaning = (why: { code: string; message: string }, job: Job) => Outcome;

/** The first that fits a 400 or 403. */
const TEXTS: [RegExp, Meaning][] = [
  [/message is not modified/, (_why, job) => doneWith(job)],
  [/(TOPIC|CHAT)_NOT_MODIFIED/i, (_why, job) => doneWith(job)],
  [
    /message thread not found|TOPIC_DELETED|TOPIC_ID_INVALID|thread not found/i,
    () => ({ kind: "thread_gone" }),
  ],
  [/TOPIC_CLOSED|topic (is )?closed/i, () => ({ kind: "thread_closed" })],
  [
    /message to (edit|delete) not found|MESSAGE_ID_INVALID|message can't be (edited|deleted)|message identifier is not specified/i,
    () => ({ kind: "message_gone" }),
  ],
  [/chat not found|group chat was deleted|PEER_ID_INVALID/i, (why) => ({ kind: "drop", ...why })],
  [
    /have no rights|not enough rights|need administrator rights|CHAT_WRITE_FORBIDDEN|CHAT_ADMIN_REQUIRED|TOPIC.*FORBIDDEN|not a forum|CHAT_NOT_FORUM|forum/i,
    (why, job) => (job.kind === "open_thread" ? { kind: "no_threads", ...why } : { kind: "park", ...why }),
  ],
];

export function telegramOutcome(job: Job, { status, body }: PlatformAnswer): Outcome {
  const said = fields(body);
  if (status >= 200 && status < 300 && said.ok) return doneWith(job, said);
  const code = said.error_code ?? status;
  const why = { code: String(code), message: said.description ?? `HTTP ${status}` };
  if (said.migrate_to_chat_id !== undefined) return { kind: "moved", channel: said.migrate_to_chat_id };
  if (code === 429) {
    if (said.error_code === undefined) return { kind: "blocked" };
    const seconds = (said.retry_after ?? UNKNOWN_WAIT_SECONDS) + MARGIN_SECONDS;
    return { kind: "limited", ms: seconds * MS_PER_SECOND, scope: "bot", shared: false, hidden: true };
  }
  if (code >= 500 || code < 400 || code === 408 || code === 409) return { kind: "retry", code: String(code) };
  // An unknown token is no resource of Telegram's: 404.
  if (code === 401 || code === 404)
    return { kind: "halt", code: `${code}`, message: "Telegram refuses the bot's token" };
  const found = TEXTS.find(([text]) => text.test(why.message));
  if (found !== undefined) return found[1](why, job);
  if (code === 403) return { kind: "park", ...why };
  if (job.kind === "open_thread") return { kind: "no_threads", ...why };
  return { kind: "refused", ...why };
}

interface Said {
  ok: boolean;
  id?: string;
  error_code?: number;
  description?: string;
  retry_after?: number;
  migrate_to_chat_id?: string;
}

function doneWith(job: Job, { id }: Pick<Said, "id"> = {}): Outcome {
  const known = job.kind === "probe" ? job.at.id : id;
  return { kind: "done", ...(known === undefined ? {} : { id: known }) };
}

function fields(body: unknown): Said {
  if (!isRecord(body)) return { ok: false };
  const result = isRecord(body["result"]) ? body["result"] : {};
  const parameters = isRecord(body["parameters"]) ? body["parameters"] : {};
  const id =
    result["message_thread_id"] !== undefined && result["message_id"] === undefined
      ? result["message_thread_id"]
      : result["message_id"];
  const { error_code, description } = body;
  const { retry_after, migrate_to_chat_id } = parameters;
  return {
    ok: body["ok"] === true,
    ...(typeof id === "number" ? { id: String(id) } : {}),
    ...(typeof error_code === "number" ? { error_code } : {}),
    ...(typeof description === "string" ? { description: description.slice(0, MESSAGE_MAX_CHARS) } : {}),
    ...(typeof retry_after === "number" ? { retry_after } : {}),
    ...(typeof migrate_to_chat_id === "number" ? { migrate_to_chat_id: String(migrate_to_chat_id) } : {}),
  };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
