/**
 * The way to Codex: an app-server, started here or running somewhere, as typed requests and notifications.
 *
 *   const env = { PATH, HOME, ...home.variables };                         // a CodexHome, see home.ts
 *   const server = await startAppServer({ cwd, env, version });
 *   server.onServerRequest("item/commandExecution/requestApproval", async (params, withdrawn) => …);
 *   const stopListening = server.onNotification((notification) => …);     // before what it shall hear
 *   const config = { projects: projectsOf(cwd, trusted) };                 // see trust.ts
 *   const { thread } = await server.request("thread/start", { cwd, sandbox: "workspace-write", config, … });
 *   await server.request("turn/start", { threadId: thread.id, input: [{ type: "text", text, text_elements: [] }] });
 *   // … until the notification turn/completed, or server.ended
 *   await server.stop();
 *
 * What to know when building on it:
 * - Nothing hangs: when the app-server goes, every request rejects with the error that says why (`errors.ts`), and
 *   `ended` resolves. A turn is not a request: whoever waits for `turn/completed` waits for `ended` beside it.
 * - Messages of one read are handed on before an awaited request continues. A listener that is registered after
 *   `await request("thread/start")` may miss what came right behind the answer: register first, without a thread id.
 * - A server request without a handler is answered with an error. A handler may take as long as it likes; `withdrawn`
 *   says that its answer is not wanted any more.
 * - Listeners are called synchronously and must not throw. Who cannot keep up calls `pause()`: Codex then waits.
 * - `stop()` and `ended` prove the processes: `tree` says whether commands that Codex started are gone, too. An
 *   app-server that dies by itself is cleaned up after in the same way.
 * - A config.toml that Codex cannot read does not stop it from starting: `thread/start` fails, naming file and line.
 * - At most 64 requests are on their way, the others wait: Codex silently drops some of a larger burst. Requests that
 *   last (`command/exec`) take a place as long.
 * - `turn/interrupt` leaves the running command alive, and `turn/start` in a running turn steers it.
 * - What a turn does is read by `codexItems` (`items.ts`) and gathered by an `ItemCoalescer`. Messages of errors and
 *   items may quote secrets: redact them before they leave the box.
 */
import type { ProcessExit, TreeProof } from "../../contract/run-record.ts";
import type { StepClocks } from "../steps/clocks.ts";
import { findCodex } from "./codex-program.ts";
import {
  Connection,
  type NotificationListener,
  type RequestOptions,
  type ServerRequestHandler,
} from "./connection.ts";
import type { CodexError } from "./errors.ts";
import type { ClientMethod, ClientMethods, ServerMethod } from "./protocol.ts";
import { spawnTransport } from "./transport-stdio.ts";
import { connectTransport } from "./transport-websocket.ts";
import type { Transport, TransportEnd } from "./transport.ts";
import { unlessStopped } from "../unless-stopped.ts";

/** It reads its configuration and opens its databases before it answers; a fresh home takes 100 ms more. */
const INITIALIZE_TIMEOUT_MS = 30_000;
const CLIENT_NAME = "codex-flow-edge";

export interface ClientOptions {
  /** Version of this program, for Codex's own records. */
  version: string;
  /** Nobody waits for its start any more. */
  stopped?: AbortSignal;
}

export interface StartOptions extends ClientOptions {
  cwd: string;
  /** The whole environment: PATH, HOME and CODEX_HOME at least. Commands that the model runs inherit all of it. */
  env: Readonly<Record<string, string>>;
  /** Another program than the installed Codex, by path or name. */
  command?: string;
  clocks?: StepClocks;
  /** How long it may take to go by itself when it is stopped. */
  stopGraceMs?: number;
}

/** How it ended. */
export interface AppServerEnd {
  /** Why. Also when it was stopped from here: that is what requests still waiting for an answer reject with. */
  error: CodexError | undefined;
  /** Absent when it was no process of ours. */
  exit?: ProcessExit;
  tree?: TreeProof;
}

export interface AppServer {
  /** @throws CodexError */
  request<Method extends ClientMethod>(
    method: Method,
    params: ClientMethods[Method]["params"],
    options?: RequestOptions,
  ): Promise<ClientMethods[Method]["result"]>;
  /** With a thread id: only what is about that thread. Returns the way to stop listening. */
  onNotification(listener: NotificationListener, threadId?: string): () => void;
  /** One handler a method: the last one counts. What it throws is answered as an error. */
  onServerRequest<Method extends ServerMethod>(method: Method, handler: ServerRequestHandler<Method>): void;
  /** Stops reading, until `resume`. Answers do not come either, so nothing should be asked meanwhile. */
  pause(): void;
  resume(): void;
  /** Ends it (one that was connected to stays, only the connection ends). Idempotent; resolves with `ended`. */
  stop(): Promise<AppServerEnd>;
  /** Why nothing can be asked any more; undefined while something can. There before `ended` resolves. */
  readonly error: CodexError | undefined;
  /** Resolves once, when nothing is left of it, whoever ended it. Never rejects. */
  readonly ended: Promise<AppServerEnd>;
}

/** Starts an app-server on standard input and output. @throws CodexError, and then nothing of it is left */
export async function startAppServer(options: StartOptions): Promise<AppServer> {
  const program = findCodex(options.command);
  return await shakeHands(await spawnTransport({ ...options, program }), options);
}

/** Connects to one that runs: `unix://PATH`, `ws://HOST:PORT`. @throws CodexError */
export async function connectAppServer(url: string, options: ClientOptions): Promise<AppServer> {
  return await shakeHands(await connectTransport(url), options);
}

async function shakeHands(transport: Transport, { version, stopped }: ClientOptions): Promise<AppServer> {
  const connection = new Connection(transport);
  try {
    const initialized = connection.request(
      "initialize",
      {
        clientInfo: { name: CLIENT_NAME, title: "Codex Flow Edge", version },
        capabilities: { experimentalApi: true, requestAttestation: false },
      },
      { timeoutMs: INITIALIZE_TIMEOUT_MS },
    );
    await unlessStopped(initialized, stopped);
  } catch (error) {
    await transport.stop();
    throw error;
  }
  connection.notify("initialized");
  const withError = (end: TransportEnd): AppServerEnd => ({ error: connection.error, ...end });
  return {
    request: async (method, params, options) => await connection.request(method, params, options),
    onNotification: (listener, threadId) => connection.onNotification(listener, threadId),
    onServerRequest: (method, handler) => {
      connection.onServerRequest(method, handler);
    },
    pause: () => {
      transport.pause();
    },
    resume: () => {
      transport.resume();
    },
    stop: async () => withError(await transport.stop()),
    get error() {
      return connection.error;
    },
    ended: transport.ended.then(withError),
  };
}
