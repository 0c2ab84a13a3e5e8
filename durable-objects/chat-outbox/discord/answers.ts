/** What Discord's answers mean. Codes: discord-api-docs, "Opcodes and Status Codes"; what its docs lack stands where it is used. */
import type { Job, Outcome, PlatformAnswer } from "../delivery/platform.ts";
import { drawDiscord } from "./message.ts";

const MS_PER_SECOND = 1000;
/** A 429 that does not say how long. */
const UNKNOWN_WAIT_MS = 5_000;
/** Old messages bear few edits: about three in six seconds, by other reports fewer. */
const OLD_EDIT_WAIT_MS = 60_000;
/** Discord knows an interaction's webhook a little later than its answer (discord-api-docs#7220). */
const TOKEN_YOUNG_MS = 15_000;

const CODE = {
  unknownChannel: 10_003,
  unknownMessage: 10_008,
  unknownWebhook: 10_015,
  oldEdits: 30_046,
  badUserAgent: 40_333,
  missingAccess: 50_001,
  cannotExecuteHere: 50_024,
  deadToken: 50_027,
  notText: 50_008,
  threadArchived: 50_083,
  threadExists: 160_004,
  tooManyThreads: 160_006,
} as const;

export function discordOutcome(job: Job, { status, headers, body }: PlatformAnswer, now: number): Outcome {
  const said = fields(body);
  if (job.kind === "find" && status >= 200 && status < 300) return found(job, body);
  // Whose message it is was the question.
  if ((job.kind === "find" || job.kind === "probe") && status === 403 && said.code !== undefined)
    return { kind: "message_gone" };
  if (status >= 200 && status < 300) return done(job, said);
  const code = said.code ?? 0;
  const message = said.message ?? `HTTP ${status}`;
  const why = { code: String(code === 0 ? status : code), message };
  if (status === 429) return limited(headers, body, said);
  if (status >= 500 || status === 408 || status < 400) return { kind: "retry", code: String(status) };
  if (status === 401) {
    if (job.kind === "answer") return { kind: "token_dead", young: false };
    return { kind: "halt", code: "401", message: "Discord refuses the bot's token" };
  }
  if (job.kind === "answer" && (code === CODE.unknownWebhook || code === CODE.deadToken || status === 403))
    return { kind: "token_dead", young: code === CODE.unknownWebhook && now - job.reply.at < TOKEN_YOUNG_MS };
  if (status === 403) {
    // Whoever stands before Discord answers in HTML.
    if (said.code === undefined || code === CODE.badUserAgent) return { kind: "blocked" };
    return job.kind === "open_thread" ? { kind: "no_threads", ...why } : { kind: "park", ...why };
  }
  switch (code) {
    case CODE.unknownChannel:
      return { kind: "drop", ...why };
    case CODE.unknownMessage:
      return { kind: "message_gone" };
    case CODE.threadArchived:
      return { kind: "thread_closed" };
    case CODE.threadExists:
      return done(job, {});
    case CODE.tooManyThreads:
      return job.kind === "open_thread" ? { kind: "no_threads", ...why } : { kind: "refused", ...why };
    case CODE.cannotExecuteHere:
    case CODE.notText:
      // Discord says either of a forum that is given a message without a post around it.
      if (job.kind === "create" && job.forum === undefined) return { kind: "forum" };
      return job.kind === "open_thread" ? { kind: "no_threads", ...why } : { kind: "refused", ...why };
    default:
      return { kind: "refused", ...why };
  }
}

/** Clocks differ. */
const SKEW_MS = 30_000;
/** Discord's ids begin with the time since 2015, in ms. */
const EPOCH_MS = 1_420_070_400_000;
const ID_TIME_SHIFT = 22n;

function timeOfId(id: string): number {
  return /^\d+$/.test(id) ? Number(BigInt(id) >> ID_TIME_SHIFT) + EPOCH_MS : 0;
}

function found({ message, since, known, forum }: Extract<Job, { kind: "find" }>, body: unknown): Outcome {
  const fresh = (id: string): boolean => timeOfId(id) >= since - SKEW_MS && !known.includes(id);
  if (forum) {
    const { last_message_id: id } = body as { last_message_id?: string | null };
    return typeof id === "string" && fresh(id) ? { kind: "candidate", id } : { kind: "message_gone" };
  }
  const wanted = textOf(drawDiscord(message).body.components);
  const same = (Array.isArray(body) ? (body as Listed[]) : []).find(
    (one) =>
      fresh(one.id) &&
      one.author?.bot === true &&
      one.interaction_metadata === undefined &&
      textOf(one.components) === wanted,
  );
  return same === undefined ? { kind: "message_gone" } : { kind: "done", id: same.id };
}

/** What is read of a message in a list. */
interface Listed {
  id: string;
  author?: { bot?: boolean };
  interaction_metadata?: unknown;
  components?: unknown;
}

/** All texts of components; Discord may trim them. */
function textOf(components: unknown): string {
  if (!Array.isArray(components)) return "";
  return (components as { content?: unknown; components?: unknown }[])
    .map(({ content, components: inner }) => (typeof content === "string" ? content : "") + textOf(inner))
    .join("")
    .replaceAll(/\s/g, "");
}

interface Said {
  id?: string;
  guild_id?: string;
  code?: number;
  message?: string;
  retry_after?: number;
  global?: boolean;
}

function done(job: Job, { id, guild_id: guild }: Said): Outcome {
  // A thread that hangs on a message has its id; so has a forum post, whose first message has the same once more.
  const known = job.kind === "open_thread" ? job.starter : id;
  return {
    kind: "done",
    ...(known === undefined ? {} : { id: known }),
    ...(guild === undefined ? {} : { guild }),
    ...(job.kind === "create" && job.forum !== undefined && known !== undefined ? { channel: known } : {}),
  };
}

function limited(headers: PlatformAnswer["headers"], body: unknown, said: Said): Outcome {
  if (said.code === CODE.oldEdits)
    return { kind: "too_old", ms: Math.max(OLD_EDIT_WAIT_MS, (said.retry_after ?? 0) * MS_PER_SECOND) };
  const scope = headers.get("x-ratelimit-scope");
  const ofDiscord =
    scope !== null || headers.get("x-ratelimit-bucket") !== null || said.retry_after !== undefined;
  const text = typeof body === "string" ? body : (said.message ?? "");
  // Cloudflare's page (error 1015), or its JSON of the same meaning, tells of no limit of the bot's.
  if (!ofDiscord || /1015|blocked from accessing our API/i.test(text)) return { kind: "blocked" };
  const seconds = Math.max(said.retry_after ?? 0, Number(headers.get("retry-after") ?? 0) || 0);
  return {
    kind: "limited",
    ms: seconds > 0 ? Math.ceil(seconds * MS_PER_SECOND) : UNKNOWN_WAIT_MS,
    scope: said.global === true || scope === "global" ? "bot" : "lane",
    shared: scope === "shared",
    hidden: headers.get("x-ratelimit-remaining") !== "0",
  };
}

function fields(body: unknown): Said {
  if (typeof body !== "object" || body === null) return {};
  const { id, guild_id, code, message, retry_after, global } = body as Record<string, unknown>;
  return {
    ...(typeof id === "string" ? { id } : {}),
    ...(typeof guild_id === "string" ? { guild_id } : {}),
    ...(typeof code === "number" ? { code } : {}),
    ...(typeof message === "string" ? { message: message.slice(0, MESSAGE_MAX_CHARS) } : {}),
    ...(typeof retry_after === "number" ? { retry_after } : {}),
    ...(typeof global === "boolean" ? { global } : {}),
  };
}

const MESSAGE_MAX_CHARS = 300;
