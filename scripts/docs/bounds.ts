/**
 * The bounds of contract/limits.ts for people: a row a constant, its value in words. The numbers come from the code;
 * only what each one means stands here. A constant without a row is an error, so that no bound stays undocumented.
 */
import * as limits from "../../contract/limits.ts";

export type BoundName = keyof typeof limits;

const MEANINGS: Record<BoundName, string> = {
  EVENT_MAX_BYTES: "A whole event as sent; more answers 413",
  EVENT_ID_MAX_CHARS: "`id` of an event",
  EVENT_TYPE_MAX_CHARS: "`type` of an event",
  EVENT_SOURCE_MAX_CHARS: "`source` of an event",
  EVENT_MAX_DEPTH: "Nesting of an event's JSON",
  PAYLOAD_CHECK_MAX_STEPS: "Steps of checking one payload against one trigger schema",
  REQUEST_MAX_BYTES: "Body of a replay or cancel; more answers 413",
  FAULTS_MAX_ITEMS: "Faults that one error names; it says how many more there are",
  MISSES_MAX_ITEMS: "Steps whose reasons the answer to an event that matches nothing names",
  TIME_MAX_MS: "The latest moment that a runner may say it read output",
  RESULT_MAX_BYTES: "A `FLOW_RESULT`; more ends the run with `invalid_result`",
  EVIDENCE_MAX_CHARS: "A result that came late or was tried again; more is cut and says so",
  OUTPUT_MAX_BYTES: "Stored output of a run, all attempts together; more is counted and dropped",
  OUTPUT_CHUNK_MAX_BYTES: "One piece of output",
  OUTPUT_FRAME_MAX_BYTES: "One frame of output between runner and edge",
  FRAME_MAX_BYTES: "Any frame between runner and edge",
  APPROVAL_EXPIRES_AFTER_MS: "An approval that nobody answers is declined after this long",
  APPROVALS_PENDING_MAX: "Open approvals of one run; more are declined at once",
  APPROVALS_KEPT_PER_RUN: "Approvals that a run's record keeps; the oldest answered ones go first",
  MESSAGE_MAX_CHARS: "One message to a running step",
  MESSAGES_PENDING_MAX: "Messages of one run that no runner has taken yet; more answer 409",
  MESSAGES_KEPT_PER_RUN: "Messages that a run's record keeps",
  RAISES_KEPT_PER_RUN: "Requests that raised a run's budget, which its record keeps",
  RELAY_CLAIM_MS: "A relay has this long to claim the session that it has begun",
  CHAT_KEY_MAX_CHARS: "`key` of a chat message that a script sends",
  CHAT_TITLE_MAX_CHARS: "Title of such a message",
  CHAT_LINES_MAX: "Lines of such a message; long ones become several messages in the chat",
  CHAT_LINE_MAX_CHARS: "One line of it",
  CHAT_CODE_MAX_CHARS: "Code in it; its end is shown",
  CHAT_WAITING_MAX: "Messages of one bot that may wait; more answer 503",
  BUDGET_TOKENS_MAX: "Largest budget of tokens, and largest addition",
  BUDGET_SECONDS_MAX: "Largest budget of seconds, and largest addition",
  BUDGET_USD_MAX: "Largest budget in US dollars, and largest addition",
  ITEM_TEXT_MAX_CHARS: "A text in an item of an agent's work; more is left out and counted",
  ITEM_OUTPUT_MAX_CHARS: "Output of a command in such an item: its end",
  ITEM_LABEL_MAX_CHARS: "A name or path in such an item",
  ITEM_CHANGES_MAX: "Files in such an item",
  ITEM_PLAN_STEPS_MAX: "Steps of a plan in such an item",
  CHAIN_MAX_DEPTH: "Depth of chained events below the first; deeper ones are refused",
  CHAIN_MAX_EVENTS: "Events in `next` of one run; the rest is refused",
  CHAIN_MAX_PER_ROOT: "Chained events that follow from one event, at all depths; more are refused",
  LIST_DEFAULT_ITEMS: "A page of a list when `limit` is absent",
  LIST_MAX_ITEMS: "A page of a list at most",
  LISTED_TEXT_MAX_CHARS: "A result's message or an error in a list of runs; `GET /runs/{id}` has all of it",
  EVENT_RUNS_MAX_BYTES: "Whole runs in one answer about an event; further runs have `cut: true`",
  OUTPUT_PAGE_MAX_BYTES: "A page of `GET /runs/{id}/output`",
  TAIL_MAX_BYTES: "Frames of one tail, before it is closed with 4413 to be resumed by its cursor",
  TAILS_PER_RUN_MAX: "Open tails of one run; one more answers 503",
  TAILS_PER_EVENT_MAX: "Open tails of all runs of one event; one more answers 503",
  WAIT_MAX_SECONDS: "`?wait=`",
  CANCEL_WAIT_MAX_SECONDS: "A cancel waits for its proof before it answers",
  BACKLOG_MAX_RUNS: "Waiting runs of one pool; more stay in the queue, which tries again",
  RUNS_PER_EVENT_MAX: "Runs of one event, replays included; more answers 409",
  RUNNER_CAPACITY_MAX: "`capacity` of a runner",
  RUNNERS_PER_POOL_MAX: "Runners of one pool; one more is refused and stops",
  FLOWS_PER_RUNNER_MAX: "Flow packages that one runner may offer",
  PACKAGE_FILES_MAX: "Files that belong to one flow package",
  PACKAGE_FILES_MAX_BYTES: "The list of a package's files with their hashes, as JSON",
  PACKAGE_GLOBS_MAX: "Globs in `files` of a flow.toml",
  PACKAGE_GLOB_MAX_CHARS: "One glob of `files`",
  TIMEOUT_DEFAULT_MS: "`timeout_ms` when absent",
  SILENCE_DEFAULT_MS: "`silence_ms` when absent",
  QUEUE_DEFAULT_MS: "`queue_ms` when absent",
  CLOCK_MAX_MS: "`timeout_ms`, `silence_ms` and `queue_ms` at most",
  RETRY_MAX_ATTEMPTS: "`attempts` of a retry at most",
  RETRY_BACKOFF_DEFAULT_MS: "`backoff_ms` when absent",
  RETRY_BACKOFF_MAX_MS: "Wait before an attempt at most, before its jitter",
  LOST_AFTER_MS: "A runner unseen for so long has lost its attempt",
  RELAY_LOST_AFTER_MS: "The same for a relayed session, which nobody else could go on with",
  PING_INTERVAL_MS: "Between two pings of a runner",
  PONG_TIMEOUT_MS: "A ping unanswered for so long: connect again",
  CONTROL_STALE_MS: "A runner silent for so long is offered nothing",
  OFFER_TIMEOUT_MS: "An offer unanswered for so long goes to another runner",
  RESULT_GRACE_MS: "Time for a process to go by itself after its `FLOW_RESULT`",
  KILL_GRACE_MS: "From SIGTERM to SIGKILL",
  CODEX_KILL_GRACE_MS: "The same, for what commands of Codex have left",
  WALL_MARGIN_MS: "What the edge allows beyond `timeout_ms` before it ends the attempt itself",
  RETENTION_DEFAULT_DAYS: "Events, runs and output are kept; `RETENTION_DAYS` changes it",
  RETENTION_MAX_DAYS: "`RETENTION_DAYS` at most",
  WEBHOOK_TOLERANCE_MS: "Age of a Standard Webhooks signature",
  INTERACTION_MAX_BYTES: "A request from Discord",
  INTERACTION_TOLERANCE_MS: "Distance of a Discord signature's timestamp from the edge's clock",
  PROMPT_MAX_CHARS: "A prompt from a chat",
  TELEGRAM_UPDATE_MAX_BYTES: "An update from Telegram",
  AUDIT_RETENTION_DAYS: "The audit of what people did in chats keeps at most so many days",
  AUDIT_MAX_ROWS: "The audit of what people did in chats keeps at most so many rows of other acts",
  AUDIT_LASTING_MAX_ROWS: "The audit keeps at most so many rows of grants, servers and decisions",
  GUARD_ROWS_MAX: "Rows of the audit for the guard's answers within an hour, each about one place",
  REFUSALS_MERGED_MS:
    "Refusals of the same kind that the audit counts in one row: of forged requests, of strangers",
  REFUSAL_ROWS_MAX: "Such rows, by user and place, within that time; more are counted in one",
  SERVERS_MAX: "Discord servers that one edge lets in",
  GRANTS_PER_TENANT_MAX: "Roles and users of one server (one bot) that were given something",
  FOLLOWS_PER_CHANNEL_MAX: "Flows and types that one channel follows",
  GUARDS_PER_CHANNEL_MAX: "Threads of one channel that have a guard of their own",
  RUNNER_KEY_MIN_CHARS: "Shortest key by which a runner proves who it is",
  RUNNER_KEY_KEPT_DAYS:
    "How long a pool keeps which key a runner id belongs to, after the runner's last hello",
  RUNNER_KEYS_PER_POOL_MAX:
    "Runner ids of one pool whose keys are kept; of more, the oldest one that is gone goes",
  PROTOCOL_VERSION: "Newest runner protocol that the edge speaks",
  PROTOCOL_OLDEST: "Oldest runner protocol that the edge speaks",
};

const BYTE_UNITS = [
  ["MiB", 1024 * 1024],
  ["KiB", 1024],
  ["bytes", 1],
] as const;
const TIME_UNITS = [
  ["days", 86_400_000],
  ["h", 3_600_000],
  ["min", 60_000],
  ["s", 1000],
  ["ms", 1],
] as const;
const WORDS = { CHARS: "characters", RUNS: "runs", DAYS: "days", SECONDS: "s" } as const;

/** A bound's value with its unit, as the documentation writes it: "5 min", "16 MiB", "20,000 runs". */
export function boundText(name: BoundName): string {
  const value = limits[name];
  if (name.endsWith("_BYTES")) return inUnits(value, BYTE_UNITS, 1);
  // 24 h and 60 s are more familiar as clocks than 1 day and 1 min.
  if (name.endsWith("_MS")) return inUnits(value, TIME_UNITS, 2);
  const number = value.toLocaleString("en-US");
  const word = Object.entries(WORDS).find(([suffix]) => name.endsWith(suffix))?.[1];
  return word === undefined ? number : `${number} ${word}`;
}

/** In the largest unit of which the value is a whole number of at least `least`. */
function inUnits(value: number, units: readonly (readonly [string, number])[], least: number): string {
  const [unit, size] = units.find(([, each]) => value % each === 0 && value / each >= least) ?? ["", 1];
  return `${(value / size).toLocaleString("en-US")} ${unit}`;
}

export function isBoundName(name: string): name is BoundName {
  return Object.hasOwn(MEANINGS, name);
}

/** A Markdown table of all bounds, in the order of contract/limits.ts. */
export function boundsTable(): string {
  const rows = Object.entries(MEANINGS).flatMap(([name, meaning]) =>
    isBoundName(name) ? [`| ${meaning} | ${boundText(name)} | \`${name}\` |`] : [],
  );
  return ["| what | bound | name |", "| --- | --- | --- |", ...rows].join("\n");
}
