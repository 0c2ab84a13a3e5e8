/**
 * Every bound of the product, by name and with its unit (invariant 12).
 *
 * A bound that is met answers a clear error that names it; none is silent. Whoever changes a number here
 * changes it for the edge, the runner agent, the client and the documentation at once.
 */

const KIB = 1024;
const MIB = 1024 * KIB;
const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** A whole FlowEvent as sent: more answers 413. */
export const EVENT_MAX_BYTES = MIB;
export const EVENT_ID_MAX_CHARS = 512;
export const EVENT_TYPE_MAX_CHARS = 128;
export const EVENT_SOURCE_MAX_CHARS = 512;
/** Nesting of a payload; deeper JSON would exhaust the stack of a recursive reader. */
export const EVENT_MAX_DEPTH = 256;
/**
 * Work that the check of one payload against one trigger schema may take: about a second at most. Schemas that branch
 * would otherwise let one request occupy an isolate for minutes.
 */
export const PAYLOAD_CHECK_MAX_STEPS = 20_000_000;
/** Bodies of all other requests (replay, cancel). */
export const REQUEST_MAX_BYTES = 64 * KIB;

/** Faults that one error names; of more it says how many. */
export const FAULTS_MAX_ITEMS = 32;
/** Steps that the answer to an event names because they do not accept its payload. */
export const MISSES_MAX_ITEMS = 20;
/** The latest moment that a date can say (ECMAScript's time range). */
export const TIME_MAX_MS = 8_640_000_000_000_000;

/** A FLOW_RESULT as one JSON text; more ends the run as failed, naming this bound. */
export const RESULT_MAX_BYTES = 256 * KIB;
/** A result that decides nothing any more (its attempt was tried again, or it came late); more is cut, and says so. */
export const EVIDENCE_MAX_CHARS = 16 * KIB;
/** Stored output of one run, all attempts together; what comes after is counted and dropped, and the run says so. */
export const OUTPUT_MAX_BYTES = 16 * MIB;
/** One chunk of output in a frame: what the runner cuts its stream into. */
export const OUTPUT_CHUNK_MAX_BYTES = 64 * KIB;
/** One output frame: as much as one stored row may hold before compression. */
export const OUTPUT_FRAME_MAX_BYTES = 256 * KIB;
/** Any frame on a socket of the runner link. A claimed frame carries a whole event. */
export const FRAME_MAX_BYTES = 2 * MIB;

/** An approval that nobody answers is declined after this long. */
export const APPROVAL_EXPIRES_AFTER_MS = 30 * MINUTE_MS;
/** Approvals of one run that may be open at once; more are declined at once, saying so. */
export const APPROVALS_PENDING_MAX = 32;
/** Approvals that a run's record keeps; the oldest answered ones go first. */
export const APPROVALS_KEPT_PER_RUN = 64;

/** What people say to a running step: one message, messages that no runner has taken yet, and those that are kept. */
export const MESSAGE_MAX_CHARS = 8 * KIB;
export const MESSAGES_PENDING_MAX = 32;
export const MESSAGES_KEPT_PER_RUN = 64;
/** Requests that raised a run's budget, remembered so that one which comes twice raises it once. */
export const RAISES_KEPT_PER_RUN = 16;

/** A relay has this long to claim the session that it has begun; then that is over. */
export const RELAY_CLAIM_MS = 2 * MINUTE_MS;

/** What a script says in a chat; the whole request is bounded besides. */
export const CHAT_KEY_MAX_CHARS = 128;
export const CHAT_TITLE_MAX_CHARS = 256;
export const CHAT_LINES_MAX = 1000;
export const CHAT_LINE_MAX_CHARS = 8 * KIB;
export const CHAT_CODE_MAX_CHARS = 32 * KIB;
/** Messages of one bot that may wait; more are refused. */
export const CHAT_WAITING_MAX = 10_000;

/** The largest budget of a step, and the largest addition. */
export const BUDGET_TOKENS_MAX = 1_000_000_000;
export const BUDGET_SECONDS_MAX = 7 * 86_400;
export const BUDGET_USD_MAX = 10_000;

/** An item of an agent's work (`agent-item.ts`): a text, the end of a command's output, a name or path. */
export const ITEM_TEXT_MAX_CHARS = 32 * KIB;
export const ITEM_OUTPUT_MAX_CHARS = 8 * KIB;
export const ITEM_LABEL_MAX_CHARS = 1024;
export const ITEM_CHANGES_MAX = 200;
export const ITEM_PLAN_STEPS_MAX = 100;

/** Chained events: depth of the newest one below its root, how many one run may send, and how many may follow one root. */
export const CHAIN_MAX_DEPTH = 8;
export const CHAIN_MAX_EVENTS = 32;
export const CHAIN_MAX_PER_ROOT = 1_000;

/** Lists, as the ancestor: 50 when absent, 0 or no number; clamped to 1–500. */
export const LIST_DEFAULT_ITEMS = 50;
export const LIST_MAX_ITEMS = 500;
/** A result's message and a run's error in a list; a longer one is cut, and GET /runs/:id has all of it. */
export const LISTED_TEXT_MAX_CHARS = 500;
/** Full views of one event's runs in one answer; the runs beyond this size are answered cut. */
export const EVENT_RUNS_MAX_BYTES = 8 * MIB;
/** Output chunks on one page of GET /runs/:id/output. */
export const OUTPUT_PAGE_MAX_BYTES = MIB;
/**
 * What one tail is sent before the edge closes it with TAIL_RESUME_CLOSE, so that its reader resumes by its cursor. The
 * runtime does not tell how much of what was sent is unread, so everything that was sent counts; one frame may go beyond.
 */
export const TAIL_MAX_BYTES = MIB;
/** Tails of one run, and of all runs of one event, that are open at a time. */
export const TAILS_PER_RUN_MAX = 16;
export const TAILS_PER_EVENT_MAX = 32;

/** `?wait=` on dispatch and replay. */
export const WAIT_MAX_SECONDS = 25;
/** A cancel waits this long for the proof that the processes are gone before it answers; `?wait=` shortens it. */
export const CANCEL_WAIT_MAX_SECONDS = 2;

/** Waiting runs of one pool; more is refused to the queue, which tries again later. */
export const BACKLOG_MAX_RUNS = 20_000;
/** Runs of one event, replays included. */
export const RUNS_PER_EVENT_MAX = 200;
export const RUNNER_CAPACITY_MAX = 256;
export const RUNNERS_PER_POOL_MAX = 500;
export const FLOWS_PER_RUNNER_MAX = 1000;
/** Files that belong to one flow package, and their list as JSON, which one frame brings to each runner. */
export const PACKAGE_FILES_MAX = 5_000;
export const PACKAGE_FILES_MAX_BYTES = MIB;
/** `files` of flow.toml: how many globs, and how long one may be. */
export const PACKAGE_GLOBS_MAX = 64;
export const PACKAGE_GLOB_MAX_CHARS = 256;

/** The three clocks of an attempt (invariant 11). */
export const TIMEOUT_DEFAULT_MS = 5 * MINUTE_MS;
export const SILENCE_DEFAULT_MS = 5 * MINUTE_MS;
export const QUEUE_DEFAULT_MS = DAY_MS;
export const CLOCK_MAX_MS = 7 * DAY_MS;
export const RETRY_MAX_ATTEMPTS = 10;
export const RETRY_BACKOFF_DEFAULT_MS = 5 * SECOND_MS;
export const RETRY_BACKOFF_MAX_MS = HOUR_MS;

/** An attempt without a sign of life for this long is lost (`lost_after` of the design). */
export const LOST_AFTER_MS = 60 * SECOND_MS;
/**
 * The same for a relayed session, which nobody else could go on with: ended early, it would only lose what its agent does
 * meanwhile. A laptop that is shut in the evening is open again by then. No longer, since the run of a box that never
 * comes back stands open for all of it.
 */
export const RELAY_LOST_AFTER_MS = DAY_MS;
/** How often a runner sends "ping" on each of its sockets. The runtime answers; no object wakes. */
export const PING_INTERVAL_MS = 15 * SECOND_MS;
/** A ping unanswered for this long: the socket is dead, connect again. */
export const PONG_TIMEOUT_MS = 10 * SECOND_MS;
/** A control socket silent for this long is offered nothing. */
export const CONTROL_STALE_MS = 45 * SECOND_MS;
/** An offer unanswered for this long goes back to the backlog. */
export const OFFER_TIMEOUT_MS = 10 * SECOND_MS;

/** Time a process has to go by itself after its terminal event (invariant 9). */
export const RESULT_GRACE_MS = 10 * SECOND_MS;
/** SIGTERM → this long → SIGKILL. */
export const KILL_GRACE_MS = 5 * SECOND_MS;
/** The same for what commands of Codex have left, which its sandbox often ends before: all is gone within 5 s of a cancel. */
export const CODEX_KILL_GRACE_MS = 3 * SECOND_MS;
/** What the edge allows on top of `timeout_ms` before it stops believing that the runner keeps the wall clock. */
export const WALL_MARGIN_MS = MINUTE_MS;

/** Retention of events, runs and output, when RETENTION_DAYS says nothing else. */
export const RETENTION_DEFAULT_DAYS = 30;
export const RETENTION_MAX_DAYS = 365;

/** How far a Standard Webhooks timestamp may be from the edge's clock (the specification's recommendation). */
export const WEBHOOK_TOLERANCE_MS = 5 * MINUTE_MS;

/** An interaction from Discord, which takes at most 6,000 characters of an option and 4,000 of a form's field. */
export const INTERACTION_MAX_BYTES = 256 * KIB;
/** How far a Discord signature's timestamp may be from the edge's clock. */
export const INTERACTION_TOLERANCE_MS = 5 * MINUTE_MS;
/** A prompt from a chat. */
export const PROMPT_MAX_CHARS = 32 * KIB;
/**
 * The audit of what people did in chats, and of the guard: days, and rows, whichever ends first. Grants and decisions have a
 * bound of their own, so that other rows never push them out.
 */
export const AUDIT_RETENTION_DAYS = 180;
export const AUDIT_MAX_ROWS = 100_000;
export const AUDIT_LASTING_MAX_ROWS = 100_000;
/** Refusals of strangers that are one row of the audit, with a count; and such rows by user within that time. */
export const REFUSALS_MERGED_MS = HOUR_MS;
export const REFUSAL_ROWS_MAX = 20;
/** Rows for answers of the guard within that time, each about one place; those about more places are one row. */
export const GUARD_ROWS_MAX = 50;
/** Discord servers that one edge lets in. */
export const SERVERS_MAX = 100;
/** Roles and users of one server (one bot) that were given something. */
export const GRANTS_PER_TENANT_MAX = 250;
/** Of one channel: flows and types that it follows, and threads that have a guard of their own. */
export const FOLLOWS_PER_CHANNEL_MAX = 50;
export const GUARDS_PER_CHANNEL_MAX = 50;

/** An update from Telegram: a message of 4,096 characters with the one that it replies to, and what describes both. */
export const TELEGRAM_UPDATE_MAX_BYTES = MIB;

/** Shortest secret by which a runner proves who it is. */
export const RUNNER_KEY_MIN_CHARS = 32;
/** A pool keeps which key a runner id belongs to for this long after the runner's last hello. */
export const RUNNER_KEY_KEPT_DAYS = 90;
/** Runner ids of one pool whose keys are kept; of more, the pool forgets the one that it has not heard of for longest. */
export const RUNNER_KEYS_PER_POOL_MAX = 10_000;

/** Protocol of the runner link: this one and the one before are spoken. */
export const PROTOCOL_VERSION = 2;
export const PROTOCOL_OLDEST = 1;
