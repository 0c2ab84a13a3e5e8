/**
 * Frames of both sockets of the runner link: a right one of each type, and wrong ones, each in one way, with the error
 * that each gets. Whoever adds a type adds a right frame of it here; bad-input.test.ts fails without one.
 */
import {
  FLOWS_PER_RUNNER_MAX,
  OUTPUT_FRAME_MAX_BYTES,
  PROTOCOL_VERSION,
  RESULT_MAX_BYTES,
  RUNNER_CAPACITY_MAX,
} from "../../../contract/limits.ts";
import type { ControlUp, RunUp } from "../../../contract/runner-link.ts";

type ByType<Up extends { type: string }> = { [Type in Up["type"]]: Extract<Up, { type: Type }> };

const runId = "run_0000000000000000_1";

/** A right frame of every type of the control socket. */
export const CONTROL_FRAMES: ByType<ControlUp> = {
  hello: {
    type: "hello",
    protocol: PROTOCOL_VERSION,
    runnerId: "runner-of-the-table",
    key: "the key of the runner of the table",
    process: "the only start of it",
    name: "box",
    version: "1.0.0",
    labels: ["linux"],
    capacity: 1,
    flows: [{ name: "lab", version: 2, digest: "sha256:lab" }],
    active: [{ runId, attempt: 1 }],
    draining: false,
  },
  accept: { type: "accept", runId, attempt: 1 },
  decline: { type: "decline", runId, attempt: 1, reason: "busy" },
  capacity: { type: "capacity", capacity: 1 },
  flows: { type: "flows", flows: [] },
  drain: { type: "drain" },
  goodbye: { type: "goodbye" },
};

/** A right frame of every type of the run socket, for a first attempt that has sent nothing. */
export const RUN_FRAMES: ByType<RunUp> = {
  claim: { type: "claim", attempt: 1, runnerId: "runner-a", runnerName: "box" },
  resume: { type: "resume", attempt: 1, lease: "lease_x" },
  output: { type: "output", chunks: [{ seq: 1, stream: "stdout", text: "line\n", at: 1_700_000_000_000 }] },
  result: { type: "result", seq: 1, result: { status: "completed", message: "m", artifacts: {}, next: [] } },
  canceling: { type: "canceling", survivors: [7] },
  approval: {
    type: "approval",
    seq: 1,
    request: { id: "a1-1", kind: "command", title: "git push", decisions: ["accept", "decline"] },
  },
  approval_withdrawn: { type: "approval_withdrawn", seq: 1, id: "a1-1" },
  delivered: { type: "delivered", id: "m1", fate: "steered" },
  thread: { type: "thread", threadId: "t1" },
  used: { type: "used", used: { tokens: 120, seconds: 1.5, usd: 0.25 } },
  end: {
    type: "end",
    seq: 1,
    reason: "exited",
    exit: { code: 0, signal: null },
    tree: { empty: true, survivors: [] },
    error: { code: "c", message: "m" },
  },
};

export interface MalformedFrame {
  what: string;
  /** Sent as JSON, unless it is a text or bytes already. */
  frame: unknown;
  /** Code of the error frame. */
  code: string;
  /** What its message names. */
  names: string;
}

function bad(what: string, frame: unknown, names: string, code = "bad_frame"): MalformedFrame {
  return { what, frame, code, names };
}

/** Wrong on either socket. */
const anyFrame: MalformedFrame[] = [
  bad("nothing", "", "is not JSON"),
  bad("no JSON", "{", "is not JSON"),
  bad("two frames in one", '{"type":"drain"}{"type":"drain"}', "is not JSON"),
  bad("an endless list", "[".repeat(500_000), "is not JSON"),
  bad("a heartbeat in other letters", "PING", "is not JSON"),
  bad("a binary frame", new Uint8Array([0x7b, 0x7d]).buffer, "text frame"),
  bad("null", "null", "/type"),
  bad("a list", [], "/type"),
  bad("no type", {}, "/type"),
  bad("a type that is a list", { type: ["end"] }, "/type"),
  bad("an unknown type", { type: "finish" }, "/type"),
  bad("a type of every object", { type: "__proto__" }, "/type"),
];

const { hello, accept, decline, capacity, flows, drain, goodbye } = CONTROL_FRAMES;
const flow = { name: "lab", version: 2, digest: "sha256:lab" };

export const MALFORMED_CONTROL_FRAMES: readonly MalformedFrame[] = [
  ...anyFrame,
  bad("a hello without an id", { ...hello, runnerId: undefined }, "/runnerId is required"),
  bad("a hello with an empty id", { ...hello, runnerId: "" }, "/runnerId"),
  bad("a hello with a long name", { ...hello, name: "n".repeat(65) }, "/name"),
  bad("a hello with labels that are a text", { ...hello, labels: "linux" }, "/labels"),
  bad("a hello with a label that is a number", { ...hello, labels: ["a", 7] }, "/labels/1"),
  bad(
    "a hello with a flow without a digest",
    { ...hello, flows: [{ name: "lab", version: 1 }] },
    "/flows/0/digest",
  ),
  bad("a hello with an attempt 0", { ...hello, active: [{ runId, attempt: 0 }] }, "/active/0/attempt"),
  bad(
    "a hello of another protocol",
    { ...hello, protocol: PROTOCOL_VERSION + 1 },
    "update the older one",
    "protocol",
  ),
  bad("a hello of no protocol", { ...hello, protocol: 1.5 }, "/protocol"),
  bad("a hello with a field of nobody's", { ...hello, token: "x" }, "/token is not known here"),
  bad("an accept without a run", { ...accept, runId: undefined }, "/runId is required"),
  bad("an accept of half an attempt", { ...accept, attempt: 0.5 }, "/attempt"),
  bad("an accept of a run with too long an id", { ...accept, runId: "r".repeat(65) }, "/runId"),
  bad("a decline for no known reason", { ...decline, reason: "tired" }, "/reason must be one of"),
  bad("a capacity below nothing", { ...capacity, capacity: -1 }, "/capacity"),
  bad("a capacity over the bound", { ...capacity, capacity: RUNNER_CAPACITY_MAX + 1 }, "/capacity"),
  bad("a capacity without end", '{"type":"capacity","capacity":1e400}', "/capacity"),
  bad("flows that are an object", { ...flows, flows: {} }, "/flows"),
  bad("more flows than the bound", { ...flows, flows: Array(FLOWS_PER_RUNNER_MAX + 1).fill(flow) }, "/flows"),
  bad("a drain of something", { ...drain, pool: "x" }, "/pool is not known here"),
  bad("a goodbye with a word", { ...goodbye, reason: "x" }, "/reason is not known here"),
];

const {
  claim,
  resume,
  output,
  result,
  canceling,
  end,
  approval,
  approval_withdrawn,
  delivered,
  thread,
  used,
} = RUN_FRAMES;
const chunk = { seq: 1, stream: "stdout", text: "x", at: 0 };

/** On the socket of an attempt that is claimed and has sent nothing. */
export const MALFORMED_RUN_FRAMES: readonly MalformedFrame[] = [
  ...anyFrame,
  bad("a frame of the other socket", drain, "/type"),
  bad("a claim without a runner", { ...claim, runnerId: undefined }, "/runnerId is required"),
  bad("a claim of attempt 0", { ...claim, attempt: 0 }, "/attempt"),
  bad("a resume without a lease", { ...resume, lease: "" }, "/lease"),
  bad("a resume with a lease that is a list", { ...resume, lease: ["lease_x"] }, "/lease"),
  bad("no chunks", { ...output, chunks: [] }, "/chunks"),
  bad("a chunk of no stream", { ...output, chunks: [{ ...chunk, stream: "stdin" }] }, "/chunks/0/stream"),
  bad("a chunk without a text", { ...output, chunks: [{ ...chunk, text: null }] }, "/chunks/0/text"),
  bad("a chunk read after the end of time", { ...output, chunks: [{ ...chunk, at: 1e300 }] }, "/chunks/0/at"),
  bad("a chunk read before time began", { ...output, chunks: [{ ...chunk, at: -1 }] }, "/chunks/0/at"),
  bad("a second chunk that is none", { ...output, chunks: [chunk, 7] }, "/chunks/1"),
  bad("a hole", { ...output, chunks: [{ ...chunk, seq: 2 }] }, "expected sequence number 1", "gap"),
  bad(
    "a number that no sequence reaches",
    { ...output, chunks: [{ ...chunk, seq: 1e300 }] },
    "expected sequence number 1",
    "gap",
  ),
  bad(
    "more output than a frame may hold",
    { ...output, chunks: [{ ...chunk, text: "x".repeat(OUTPUT_FRAME_MAX_BYTES + 1) }] },
    String(OUTPUT_FRAME_MAX_BYTES),
  ),
  bad("a result that is a text", { ...result, result: "completed" }, "/result"),
  bad("a result without a status", { ...result, result: {} }, "/result/status is required"),
  bad("a result that is a process status", { ...result, result: { status: "running" } }, "/result/status"),
  bad("a result number 0", { ...result, seq: 0 }, "/seq"),
  bad(
    "a result over the bound",
    { ...result, result: { status: "completed", message: "x".repeat(RESULT_MAX_BYTES) } },
    String(RESULT_MAX_BYTES),
  ),
  bad(
    "a result that is too deep",
    `{"type":"result","seq":1,"result":{"status":"completed","x":${"[".repeat(5_000)}${"]".repeat(5_000)}}}`,
    "/result is nested deeper",
  ),
  bad("a result before what it follows", { ...result, seq: 2 }, "expected sequence number 1", "gap"),
  bad(
    "an approval of no kind",
    { ...approval, request: { id: "a", title: "t", decisions: ["accept"] } },
    "/kind is required",
  ),
  bad(
    "an approval without a way to answer",
    { ...approval, request: { id: "a", kind: "command", title: "t", decisions: [] } },
    "/decisions",
  ),
  bad("an approval that comes too early", { ...approval, seq: 3 }, "expected sequence number 1", "gap"),
  bad("a withdrawal of nothing", { ...approval_withdrawn, id: 1 }, "/id"),
  bad("a message that met no fate known", { ...delivered, fate: "eaten" }, "/fate"),
  bad("a message that is hidden or not", { ...delivered, hidden: false }, "/hidden"),
  bad("a thread without a name", { ...thread, threadId: "" }, "/threadId"),
  bad("a use of less than nothing", { ...used, used: { tokens: -1 } }, "/used/tokens"),
  bad("a use without end", '{"type":"used","used":{"usd":1e400}}', "/used/usd"),
  bad("a use of something else", { ...used, used: { turns: 1 } }, "/used/turns is not known here"),
  bad("survivors that are names", { ...canceling, survivors: ["sh"] }, "/survivors/0"),
  bad("an end for no known reason", { ...end, reason: "bored" }, "/reason must be one of"),
  bad("an exit code that is a text", { ...end, exit: { code: "0", signal: null } }, "/exit/code"),
  bad("an exit without a signal", { ...end, exit: { code: 0 } }, "/exit/signal is required"),
  bad("a tree that may be empty", { ...end, tree: { empty: "yes", survivors: [] } }, "/tree/empty"),
  bad("an end that says of which run", { ...end, run: runId }, "/run is not known here"),
  bad("an end before what it follows", { ...end, seq: 3 }, "expected sequence number 1", "gap"),
];

/** What goes over the socket for a row of these tables. */
export function onTheWire(frame: unknown): string | ArrayBuffer {
  return typeof frame === "string" || frame instanceof ArrayBuffer ? frame : JSON.stringify(frame);
}

/** The type that a frame says it has. */
export function typeOf(frame: unknown): string | undefined {
  return frame !== null && typeof frame === "object" && "type" in frame && typeof frame.type === "string"
    ? frame.type
    : undefined;
}
