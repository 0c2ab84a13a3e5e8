/**
 * A model provider on loopback for the real Codex CLI: it speaks the Responses API, and says what its script says.
 *
 * A script is a list of rules. The newest message of the user chooses one: the first whose `prompt` it contains, else
 * the one without a `prompt`, else what the message before it chose. Each further request about that message gets the
 * rule's next answer. Requests that Codex repeats (after a 5xx, a cut stream) count, so a script says what
 * comes first and what comes then. A script that has run out answers 400, which ends the turn as failed and says so.
 */
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Answer } from "./answers.ts";
import { httpError } from "./answers.ts";
import { sendAnswer } from "./stream.ts";

export interface Rule {
  /** A part of the user's message. */
  prompt?: string;
  answers: Answer[];
}

/** A request of Codex, as far as tests look at it. */
export interface ModelRequest {
  threadId: string;
  model: string;
  input: Array<Record<string, unknown> & { type: string }>;
  tools: Array<Record<string, unknown>>;
  /** `format` has the output schema when there is one. */
  text?: { format?: { type: string; schema?: unknown } };
  headers: IncomingMessage["headers"];
}

export class FakeModel {
  /** Everything that was asked, in its order. */
  readonly requests: ModelRequest[] = [];
  /** May be replaced at any time. */
  rules: Rule[];
  readonly #server: Server;
  /** By thread, message and rule: how many answers were given. */
  readonly #given = new Map<string, number>();
  #held = Promise.withResolvers<void>();
  #count = 0;

  private constructor(rules: Rule[]) {
    this.rules = rules;
    this.#server = createServer((request, response) => {
      void this.#serve(request).then(async (answer) => {
        this.#count += 1;
        await sendAnswer(response, answer, `resp${this.#count}`, this.#held.promise);
      });
    });
  }

  /** `port` 0 takes any. */
  static async start(rules: Rule[], port = 0): Promise<FakeModel> {
    const model = new FakeModel(rules);
    model.#server.listen(port, "127.0.0.1");
    await once(model.#server, "listening");
    return model;
  }

  /** For a provider's `base_url`. */
  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/v1`;
  }

  /** Lets all answers go on that are `held`, and holds the next. */
  release(): void {
    this.#held.resolve();
    this.#held = Promise.withResolvers();
  }

  async stop(): Promise<void> {
    this.release();
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }

  async #serve(request: IncomingMessage): Promise<Answer> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    if (request.method !== "POST" || !request.url?.endsWith("/responses")) return httpError(404, "not_found");
    const body = JSON.parse(Buffer.concat(chunks).toString()) as Omit<ModelRequest, "threadId" | "headers">;
    const asked = { ...body, threadId: String(request.headers["thread-id"]), headers: request.headers };
    this.requests.push(asked);
    return this.#choose(asked);
  }

  #choose({ threadId, input }: ModelRequest): Answer {
    for (const [index, item] of [...input.entries()].reverse()) {
      const text = userText(item);
      if (text === undefined) continue;
      const rule =
        this.rules.find(({ prompt }) => prompt !== undefined && text.includes(prompt)) ??
        this.rules.find(({ prompt }) => prompt === undefined);
      if (rule !== undefined) return this.#next(rule, `${threadId} ${index}`);
    }
    return httpError(400, "no_rule_of_the_script_fits");
  }

  #next(rule: Rule, about: string): Answer {
    const key = `${this.rules.indexOf(rule)} ${about}`;
    const given = this.#given.get(key) ?? 0;
    this.#given.set(key, given + 1);
    return rule.answers[given] ?? httpError(400, "the_script_has_run_out");
  }
}

/**
 * Undefined for what no user said. What Codex itself puts in as the user's (the environment) is said by nobody; what one
 * agent tells another is a user's message to that.
 */
function userText(item: ModelRequest["input"][number]): string | undefined {
  if (item.type !== "agent_message" && (item.type !== "message" || item["role"] !== "user")) return undefined;
  const parts = item["content"] as Array<{ text?: string; encrypted_content?: string }>;
  const text = parts.map((part) => part.text ?? part.encrypted_content ?? "").join("\n");
  return text.startsWith("<") ? undefined : text;
}
