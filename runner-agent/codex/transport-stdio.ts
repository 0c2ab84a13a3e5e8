/**
 * An app-server as a child process: one JSON text a line on its standard input and output. Owns the process, its
 * pipes and the timers of its end.
 *
 * Every way out is the same one: the process is gone (by itself, killed, or by `stop`), then whatever it has started
 * is looked for and ended, then `ended` resolves. Its commands lead sessions of their own and outlive a killed
 * app-server, so they are found by a variable that all of them inherit (see `steps/process-tree.ts`).
 */
import { randomUUID } from "node:crypto";
import { execa } from "execa";
import type { ProcessExit } from "../../contract/run-record.ts";
import { Countdown, DEFAULT_CLOCKS, type StepClocks } from "../steps/clocks.ts";
import { endTree, processTree } from "../steps/process-tree.ts";
import type { CodexProgram } from "./codex-program.ts";
import {
  AppServerExitedError,
  AppServerGarbledError,
  AppServerUnavailableError,
  type CodexError,
} from "./errors.ts";
import { LineSplitter } from "./line-splitter.ts";
import { MESSAGE_MAX_BYTES, type Transport, type TransportEnd, type TransportEvents } from "./transport.ts";

/** Borne by the app-server and all that it starts. */
export const APP_SERVER_VARIABLE = "CODEX_FLOW_APP_SERVER_ID";
/** After the end of its input it has this long to go by itself; it takes 30 ms, more when it ends commands. */
const STOP_GRACE_MS = 3_000;
/** What is kept of its standard error, for the message that says why it went. */
const STDERR_TAIL_CHARS = 4_096;

export interface SpawnOptions {
  program: CodexProgram;
  cwd: string;
  /** The whole environment: PATH, HOME and CODEX_HOME at least. Commands that the model runs inherit all of it. */
  env: Readonly<Record<string, string>>;
  /** How long its end may take. */
  clocks?: StepClocks;
  stopGraceMs?: number;
}

/** @throws AppServerUnavailableError when the process cannot be started. */
export async function spawnTransport(options: SpawnOptions): Promise<Transport> {
  const id = randomUUID();
  const child = spawn(options, id);
  if (child.pid !== undefined) return new StdioTransport(child, child.pid, id, options);
  const { originalMessage } = await child;
  throw new AppServerUnavailableError(
    `${options.program.file} could not be started in ${options.cwd}: ${originalMessage ?? "unknown reason"}; ` +
      `is @openai/codex installed?`,
  );
}

type AppServerProcess = ReturnType<typeof spawn>;

function spawn({ program, cwd, env }: SpawnOptions, id: string) {
  return execa(program.file, [...program.args, "app-server"], {
    cwd,
    env: { ...env, [APP_SERVER_VARIABLE]: id },
    extendEnv: false,
    stdin: "pipe",
    detached: true,
    buffer: false,
    reject: false,
  });
}

class StdioTransport implements Transport {
  readonly ended: Promise<TransportEnd>;
  readonly #child: AppServerProcess;
  readonly #lines = new LineSplitter(MESSAGE_MAX_BYTES);
  readonly #clocks: StepClocks;
  readonly #grace: Countdown;
  readonly #drain: Countdown;
  /** The process is gone, or its time to go by itself is over. */
  readonly #gone = Promise.withResolvers<undefined>();
  readonly #exited = Promise.withResolvers<undefined>();
  #events: TransportEvents | undefined;
  #exit: ProcessExit | undefined;
  #stderr = "";
  #stopping = false;
  #closed = false;

  constructor(child: AppServerProcess, pid: number, id: string, options: SpawnOptions) {
    this.#child = child;
    this.#clocks = options.clocks ?? DEFAULT_CLOCKS;
    const tree = processTree(`${APP_SERVER_VARIABLE}=${id}`, pid);
    this.#grace = new Countdown(options.stopGraceMs ?? STOP_GRACE_MS, () => {
      this.#gone.resolve(undefined);
    });
    this.#drain = new Countdown(this.#clocks.drainMs, () => {
      this.#close();
    });
    this.ended = this.#gone.promise.then(async () => {
      const proof = await endTree(tree, this.#clocks, () => undefined);
      // A process can be seen to be gone before this one is told how it went.
      if (proof.empty) await this.#exited.promise;
      this.#close();
      for (const pipe of child.stdio) pipe?.destroy();
      return { ...(this.#exit === undefined ? {} : { exit: this.#exit }), tree: proof };
    });
  }

  listen(events: TransportEvents): void {
    this.#events = events;
    const { stdin, stdout, stderr, nodeChildProcess } = this.#child;
    // A pipe that fails is a pipe that is over; the exit follows.
    for (const pipe of [stdin, stdout, stderr]) pipe.on("error", () => undefined);
    stdout.on("data", (bytes: Buffer) => {
      this.#read(bytes);
    });
    stderr.on("data", (bytes: Buffer) => {
      this.#stderr = (this.#stderr + bytes.toString("utf8")).slice(-STDERR_TAIL_CHARS);
    });
    stdout.on("close", () => {
      if (this.#exit !== undefined) this.#close();
    });
    nodeChildProcess.on("exit", (code, signal) => {
      this.#exit = { code, signal };
      this.#grace.stop();
      // What it has written last may be an answer.
      if (stdout.closed) this.#close();
      else this.#drain.start();
      this.#exited.resolve(undefined);
      this.#gone.resolve(undefined);
    });
  }

  send(text: string): void {
    if (!this.#closed && !this.#stopping) this.#child.stdin.write(`${text}\n`);
  }

  get bufferedBytes(): number {
    return this.#child.stdin.writableLength;
  }

  pause(): void {
    this.#child.stdout.pause();
  }

  resume(): void {
    this.#child.stdout.resume();
  }

  async stop(): Promise<TransportEnd> {
    if (!this.#stopping) {
      this.#stopping = true;
      // It may wait in a write, and would not see the end of its input.
      this.#child.stdout.resume();
      this.#child.stdin.end();
      if (this.#exit === undefined) this.#grace.start();
    }
    return await this.ended;
  }

  #read(bytes: Buffer): void {
    if (this.#closed) return;
    const lines = this.#lines.write(bytes);
    if (lines === undefined) {
      this.#close(new AppServerGarbledError(`Codex sent a line of more than ${MESSAGE_MAX_BYTES} bytes`));
      void this.stop();
      return;
    }
    for (const line of lines) if (line !== "") this.#events?.message(line);
  }

  #close(error: CodexError = this.#exitError()): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#drain.stop();
    this.#events?.closed(error);
  }

  #exitError(): AppServerExitedError {
    if (this.#stopping) return new AppServerExitedError("the Codex app-server was stopped", this.#exit);
    const how = this.#exit?.signal ?? `code ${this.#exit?.code ?? "unknown"}`;
    const last = this.#stderr.trim();
    return new AppServerExitedError(
      `the Codex app-server ended with ${how}${last === "" ? "" : `; it said: ${last}`}`,
      this.#exit,
    );
  }
}
