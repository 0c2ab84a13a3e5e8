/**
 * What the fake model says: one `Answer` a request, plain data, so that a script of answers may stand in a test or in
 * a JSON file. Shapes are those of the Responses API as Codex reads them.
 */

/** A Responses item. `call_id` and `id` are given when it is sent, so that the same script serves many threads. */
export type ModelItem = Record<string, unknown> & { type: string };

export interface ModelUsage {
  input: number;
  cached: number;
  output: number;
  reasoning: number;
}

export interface Answer {
  items: ModelItem[];
  /** Messages and reasoning come in pieces of this many characters, announced before. */
  pieceChars?: number;
  usage: ModelUsage;
  /** Between two events of the stream. */
  gapMs?: number;
  /** The stream is opened, and says nothing until `FakeModel.release`. */
  held?: boolean;
  /** The connection is lost after the items, before the answer is complete. */
  cut?: boolean;
  /** An HTTP error instead of a stream. */
  http?: { status: number; type: string };
  /** The stream ends with `response.failed`. */
  failed?: { code: string; message: string };
}

const USAGE: ModelUsage = { input: 100, cached: 40, output: 20, reasoning: 5 };

function answer(...items: ModelItem[]): Answer {
  return { items, usage: USAGE };
}

export function message(text: string): Answer {
  return answer({ type: "message", role: "assistant", content: [{ type: "output_text", text }] });
}

/** The message of a turn with an output schema. */
export function structured(value: unknown): Answer {
  return message(JSON.stringify(value));
}

export function reasoning(text: string): Answer {
  return answer({ type: "reasoning", summary: [{ type: "summary_text", text }], encrypted_content: null });
}

/** A call of any tool; `namespace` as in `mcp__SERVER`. */
export function toolCall(name: string, args: unknown, namespace?: string): Answer {
  const where = namespace === undefined ? {} : { namespace };
  return answer({ type: "function_call", name, arguments: JSON.stringify(args), ...where });
}

/** A shell command; `more` are further arguments of the tool, as `sandbox_permissions`. */
export function command(cmd: string, more: Record<string, unknown> = {}): Answer {
  return toolCall("exec_command", { cmd, ...more });
}

/** Lines between `*** Begin Patch` and `*** End Patch`. */
export function patch(...lines: string[]): Answer {
  const input = ["*** Begin Patch", ...lines, "*** End Patch", ""].join("\n");
  return answer({ type: "custom_tool_call", name: "apply_patch", input });
}

/** JavaScript for a model of code mode. */
export function codeMode(script: string): Answer {
  return answer({ type: "custom_tool_call", name: "exec", input: script });
}

export interface Question {
  id: string;
  header: string;
  question: string;
  options: Array<{ label: string; description: string }>;
}

export function askUser(...questions: Question[]): Answer {
  return toolCall("request_user_input", { questions });
}

/** Several items in one answer; calls among them run at the same time. What is said of one holds for all. */
export function together(...answers: Answer[]): Answer {
  return { ...Object.assign({}, ...answers), items: answers.flatMap(({ items }) => items) } as Answer;
}

/** Told in pieces, as real models do. */
export function inPieces(of: Answer, pieceChars = 4): Answer {
  return { ...of, pieceChars };
}

export function slow(of: Answer, gapMs: number): Answer {
  return { ...of, gapMs };
}

export function held(of: Answer): Answer {
  return { ...of, held: true };
}

export function cut(of: Answer): Answer {
  return { ...of, cut: true };
}

export function withUsage(of: Answer, usage: ModelUsage): Answer {
  return { ...of, usage };
}

/** Codex tries 5xx again, and 429 never; with `usage_limit_reached` that is a usage limit. */
export function httpError(status: number, type = "server_error"): Answer {
  return { ...answer(), http: { status, type } };
}

/** `context_length_exceeded`, `insufficient_quota`, … */
export function failed(code: string, text = code): Answer {
  return { ...answer(), failed: { code, message: text } };
}
