/**
 * The model provider of one code-mode step, on loopback: it speaks the Responses API as far as Codex needs it, and
 * answers with the saved script instead of asking a model. So stock Codex runs the script with its own sandbox, tools and
 * approvals, without a login, and no token is paid for. Owns a listening socket; `stop` ends it.
 *
 * Whoever does not know the step's token gets nothing from it, and it answers nothing but the step's own conversation.
 */
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { randomBytes, timingSafeEqual } from "node:crypto";
import type { JsonValue } from "../protocol.ts";
import { nextMove, readReports, type CellReport, type InputItem, type Move } from "./cell-report.ts";

const PROVIDER = "codex-flow-script";
export const SCRIPT_MODEL = "codex-flow-saved-script";

/** Codex sends its whole conversation with each request: what the script has printed is in there. */
const BODY_MAX_BYTES = 64 * 1024 * 1024;
/** A script that goes on hands over what it has printed after this long; doubles each time, up to the second one. */
const YIELD_FIRST_MS = 1_000;
const YIELD_MAX_MS = 10_000;
/** More than a run's output may be: what is cut off here might be the result. */
const OUTPUT_MAX_TOKENS = 8_000_000;
const TOKEN_BYTES = 32;
const TRIES = 2;

/** The one model that it has: it runs JavaScript, and its output is not cut. */
export const SCRIPT_MODEL_CATALOG = {
  models: [
    {
      slug: SCRIPT_MODEL,
      display_name: "A saved script of codex-flow-edge",
      supported_reasoning_levels: [],
      shell_type: "unified_exec",
      visibility: "hide",
      supported_in_api: true,
      priority: 1,
      support_verbosity: false,
      apply_patch_tool_type: "freeform",
      tool_mode: "code_mode_only",
      truncation_policy: { mode: "tokens", limit: OUTPUT_MAX_TOKENS },
      context_window: 100 * OUTPUT_MAX_TOKENS,
      experimental_supported_tools: [],
      base_instructions: "A saved script is run.",
    },
  ],
};

export interface ScriptProviderOptions {
  /** The JavaScript that is run. */
  source: string;
  /** Hears each report once, in its order. */
  told(report: CellReport): void;
}

export class ScriptProvider {
  readonly #source: string;
  readonly #told: (report: CellReport) => void;
  readonly #token = randomBytes(TOKEN_BYTES).toString("hex");
  readonly #server: Server;
  #reports = 0;
  #end: Extract<Move, { kind: "end" }> | undefined;

  private constructor({ source, told }: ScriptProviderOptions) {
    this.#source = source;
    this.#told = told;
    this.#server = createServer((request, response) => {
      // Who hangs up in the middle gets no answer.
      this.#serve(request, response).catch(() => response.destroy());
    });
  }

  static async start(options: ScriptProviderOptions): Promise<ScriptProvider> {
    const provider = new ScriptProvider(options);
    provider.#server.listen(0, "127.0.0.1");
    await once(provider.#server, "listening");
    return provider;
  }

  /** How the script ended; undefined while it has not. */
  get end(): { failure: string | undefined } | undefined {
    return this.#end;
  }

  /** Keys of a thread's configuration with which Codex asks it. @param catalog path of SCRIPT_MODEL_CATALOG as a file */
  config(catalog: string): Record<string, JsonValue> {
    const { port } = this.#server.address() as AddressInfo;
    return {
      model_provider: PROVIDER,
      model_providers: {
        [PROVIDER]: {
          name: PROVIDER,
          base_url: `http://127.0.0.1:${port}`,
          experimental_bearer_token: this.#token,
          request_max_retries: TRIES,
          stream_max_retries: TRIES,
        },
      },
      model_catalog_json: catalog,
    };
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const refusal = this.#refusal(request);
    if (refusal !== undefined) {
      refuse(response, ...refusal);
      return;
    }
    const body = await read(request);
    if (body === undefined) {
      refuse(response, 413, `the script printed more than ${BODY_MAX_BYTES} bytes`);
      return;
    }
    const { input } = JSON.parse(body) as { input: InputItem[] };
    for (const report of readReports(input).slice(this.#reports)) {
      this.#reports += 1;
      this.#told(report);
    }
    const move = nextMove(input);
    if (move.kind === "end") this.#end = move;
    response.writeHead(200, { "content-type": "text/event-stream" });
    send(response, { type: "response.output_item.done", item: this.#item(move) });
    send(response, { type: "response.completed", response: { id: `script_${this.#reports}` } });
    response.end();
  }

  #refusal({ headers, method, url }: IncomingMessage): [status: number, message: string] | undefined {
    const given = Buffer.from(headers.authorization ?? "");
    const wanted = Buffer.from(`Bearer ${this.#token}`);
    if (given.length !== wanted.length || !timingSafeEqual(given, wanted))
      return [401, "this is nobody's provider but one step's"];
    return method === "POST" && url === "/responses" ? undefined : [404, "there is only POST /responses"];
  }

  #item(move: Move): Record<string, unknown> {
    switch (move.kind) {
      case "run": {
        const pragma = { yield_time_ms: YIELD_FIRST_MS, max_output_tokens: OUTPUT_MAX_TOKENS };
        const input = `// @exec: ${JSON.stringify(pragma)}\n${this.#source}`;
        return { type: "custom_tool_call", call_id: "script", name: "exec", input };
      }
      case "wait": {
        const wanted = {
          cell_id: move.cellId,
          yield_time_ms: Math.min(YIELD_MAX_MS, YIELD_FIRST_MS * 2 ** Math.min(move.waits, 16)),
          max_tokens: OUTPUT_MAX_TOKENS,
        };
        const callId = `wait_${move.waits}`;
        return { type: "function_call", call_id: callId, name: "wait", arguments: JSON.stringify(wanted) };
      }
      case "end": {
        const text = move.failure === undefined ? "The script has completed." : "The script has failed.";
        return { type: "message", role: "assistant", content: [{ type: "output_text", text }] };
      }
    }
  }
}

/** Undefined for more than may come. */
async function read(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > BODY_MAX_BYTES) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

function refuse(response: ServerResponse, status: number, message: string): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify({ error: { type: "invalid_request_error", message } }));
}

function send(response: ServerResponse, event: { type: string } & Record<string, unknown>): void {
  response.write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
}
