/** One answer as a stream of server-sent events. */
import { setTimeout as sleep } from "node:timers/promises";
import type { ServerResponse } from "node:http";
import type { Answer, ModelItem } from "./answers.ts";

interface StreamEvent {
  type: string;
  [key: string]: unknown;
}

/** Ends the response on every path, also when Codex hangs up. */
export async function sendAnswer(
  response: ServerResponse,
  answer: Answer,
  id: string,
  released: Promise<void>,
): Promise<void> {
  if (answer.http !== undefined) {
    const { status, type } = answer.http;
    const body = { error: { type, code: type, message: `the fake model says ${status} ${type}` } };
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
    return;
  }
  const gone = new AbortController();
  response.on("close", () => {
    gone.abort();
  });
  response.writeHead(200, { "content-type": "text/event-stream" });
  send(response, { type: "response.created", response: { id } });
  if (answer.held === true) await released;
  for (const event of eventsOf(answer, id)) {
    if (gone.signal.aborted) return;
    if (answer.gapMs !== undefined)
      await sleep(answer.gapMs, undefined, { signal: gone.signal }).catch(() => undefined);
    send(response, event);
  }
  // Behind what was written, and without the end of the body: to Codex the connection is lost.
  if (answer.cut === true) response.socket?.end();
  else response.end();
}

function send(response: ServerResponse, event: StreamEvent): void {
  response.write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
}

function* eventsOf(answer: Answer, id: string): Generator<StreamEvent> {
  for (const [index, item] of answer.items.entries()) {
    const own = { ...item, ...identity(item, `${id}_${index}`) };
    if (answer.pieceChars !== undefined) yield* piecesOf(own, answer.pieceChars);
    yield { type: "response.output_item.done", item: own };
  }
  if (answer.cut === true) return;
  if (answer.failed !== undefined) {
    yield { type: "response.failed", response: { id, error: answer.failed } };
    return;
  }
  const { input, cached, output, reasoning } = answer.usage;
  const usage = {
    input_tokens: input,
    input_tokens_details: { cached_tokens: cached },
    output_tokens: output,
    output_tokens_details: { reasoning_tokens: reasoning },
    total_tokens: input + output,
  };
  yield { type: "response.completed", response: { id, usage } };
}

function identity(item: ModelItem, unique: string): { id: string; call_id?: string } {
  if (item.type === "message") return { id: `msg_${unique}` };
  return item.type === "reasoning"
    ? { id: `rs_${unique}` }
    : { id: `fc_${unique}`, call_id: `call_${unique}` };
}

function* piecesOf(item: ModelItem & { id: string }, chars: number): Generator<StreamEvent> {
  const content = item["content"] as Array<{ text: string }> | undefined;
  const summary = item["summary"] as Array<{ text: string }> | undefined;
  if (item.type === "message") yield { type: "response.output_item.added", item: { ...item, content: [] } };
  else if (item.type === "reasoning") {
    yield { type: "response.output_item.added", item: { ...item, summary: [] } };
    yield { type: "response.reasoning_summary_part.added", item_id: item.id, summary_index: 0 };
  } else return;
  const [type, text] =
    item.type === "message"
      ? ["response.output_text.delta", content?.[0]?.text ?? ""]
      : ["response.reasoning_summary_text.delta", summary?.[0]?.text ?? ""];
  for (let at = 0; at < text.length; at += chars)
    yield { type, item_id: item.id, summary_index: 0, content_index: 0, delta: text.slice(at, at + chars) };
}
