/**
 * The life of one relayed session on this machine: the agent's process from its start to the proof that nothing of it is
 * left, and its stream as items. Owns the process and its clocks. To the attempt that carries it (attempt.ts) it is a
 * step like any other.
 *
 * L1. The agent's terminal event is the end: its result is sent at once, and the process has a grace to go (invariant 9).
 * L2. Silence is measured on the stream: after the hang threshold a warning is sent, after the silence clock it ends.
 * L3. What is shown, logged or journaled has gone through the redactor before (invariant 15).
 * L4. What the program has written when it ends is read to its last byte, also when reading was paused.
 * L5. An answer that the program's terminal hides is shown and stored nowhere.
 */
import { readFileSync } from "node:fs";
import { StringDecoder } from "node:string_decoder";
import { setTimeout as sleep } from "node:timers/promises";
import type { AgentItem, TokenCounts } from "../../contract/agent-item.ts";
import type { AttemptEnd, EndReason, ProcessExit, Reason } from "../../contract/run-record.ts";
import { attemptId } from "../../contract/ids.ts";
import { LineSplitter } from "../codex/line-splitter.ts";
import { Countdown, type StepClocks } from "../steps/clocks.ts";
import { OutputChunker } from "../steps/output-chunker.ts";
import { attemptTree, endTree } from "../steps/process-tree.ts";
import { Redactor, type RedactionStream } from "../steps/redaction.ts";
import type { RunningStep, StepEvents, StepRequest } from "../steps/step.ts";
import { stepVariables } from "../steps/step-input.ts";
import type { Agent, AgentLaunch, AgentReader } from "./agents/agent.ts";
import { startPiped, type AgentProcess } from "./agent-process.ts";
import { shown, type OutputPolicy } from "./output-policy.ts";
import { SessionSummary } from "./session-summary.ts";
import type { StreamLog } from "./stream-log.ts";
import { TerminalText } from "./terminal-text.ts";

/** A line of an agent's stream: a tool's result may hold a whole file. */
const LINE_MAX_BYTES = 32 * 1024 * 1024;
/** Of the standard error of an agent that has not told anything yet, the end that is kept. */
const EARLY_ERRORS_MAX_CHARS = 16 * 1024;
/** Processes that are named when they are ended behind their program. */
const LEFT_NAMED_MAX = 10;
const SECOND_MS = 1_000;

/** What a session needs besides its attempt. */
export interface SessionPlan {
  agent: Agent;
  /** Of the agent, as people see it. */
  name: string;
  launch: AgentLaunch;
  workdir: string;
  /** Longest silence without a warning. */
  hangMs: number;
  policy: OutputPolicy;
  log: StreamLog;
  /** For whoever watches on this box. */
  display: SessionDisplay;
  /** The agent has said which thread it works in, or what that has used so far. */
  threadKnown(thread: string, tokens?: TokenCounts): void;
  /** Of the relay itself, for a program that takes it. */
  localInput?: LocalInput;
}

/** The relay's own standard input. */
export interface LocalInput {
  stream: NodeJS.ReadableStream;
  /**
   * Hands on what is typed at the relay's terminal, until the returned function is called. The program's terminal does the
   * echoing then, or does not, as at a question for a password.
   */
  typed(listener: { onBytes(bytes: Uint8Array): void; onEnd(): void }): () => void;
}

export interface SessionDisplay {
  item(item: AgentItem): void;
  text(stream: "stdout" | "stderr" | "system", text: string): void;
}

type TextStream = "stdout" | "stderr";

/** What a stream of text goes through: bytes, characters, lines without control sequences, lines without secrets. */
interface TextReader {
  decoder: StringDecoder;
  terminal: TerminalText;
  clean: RedactionStream;
}

export class RelayedSession implements RunningStep {
  readonly pid = undefined;
  readonly ended: Promise<AttemptEnd>;
  readonly #plan: SessionPlan;
  readonly #request: StepRequest;
  readonly #events: StepEvents;
  readonly #clocks: StepClocks;
  readonly #redactor: Redactor;
  #reader: AgentReader | undefined;
  readonly #summary: SessionSummary;
  #lines = new LineSplitter(LINE_MAX_BYTES);
  readonly #texts: Record<TextStream, TextReader>;
  readonly #chunker: OutputChunker;
  readonly #wall: Countdown;
  readonly #silence: Countdown;
  readonly #hang: Countdown;
  readonly #grace: Countdown;
  readonly #beganAt = performance.now();
  readonly #stopped = Promise.withResolvers<{ reason: EndReason; error?: Reason }>();
  #process: AgentProcess | undefined;
  /** How what is said to the program reaches it; undefined: it hears nobody now. */
  #say: ((text: string) => string) | undefined;
  #stopLocalInput: () => void = () => undefined;
  /** The process is to end, or has ended: no clock begins again. */
  #stopping = false;
  #paused = false;
  #over = false;
  /** Standard error of an agent whose stream has not begun: either it goes out with the stream, or says why there is none. */
  #earlyErrors: string | undefined;
  #silences = 0;
  /** Messages that the agent has not begun to answer. */
  #unanswered = 0;
  #leftOutChars = 0;

  constructor(plan: SessionPlan, request: StepRequest, events: StepEvents, clocks: StepClocks) {
    const { timeoutMs, silenceMs } = request.step;
    this.#plan = plan;
    this.#request = request;
    this.#events = events;
    this.#clocks = clocks;
    this.#redactor = new Redactor(request.env.secrets);
    this.#summary = new SessionSummary(plan.name);
    const text = (stream: TextStream): TextReader => ({
      decoder: new StringDecoder("utf8"),
      terminal: new TerminalText((piece) => {
        this.#print(stream, piece);
      }),
      clean: this.#redactor.stream(),
    });
    this.#texts = { stdout: text("stdout"), stderr: text("stderr") };
    this.#chunker = new OutputChunker((stream, piece) => {
      plan.log.write({ type: "text", stream, text: piece });
      events.output(stream, piece);
      plan.display.text(stream === "agent" ? "stdout" : stream, piece);
    });
    this.#wall = new Countdown(timeoutMs, () => {
      this.#stop("timeout", `${plan.name} ran longer than its timeout of ${durationText(timeoutMs)}`);
    });
    this.#silence = new Countdown(silenceMs, () => {
      this.#stop("silence", `${plan.name} had no output for ${durationText(silenceMs)}`);
    });
    this.#hang = new Countdown(plan.hangMs, () => {
      this.#warnOfSilence();
    });
    this.#grace = new Countdown(clocks.resultGraceMs, () => {
      this.#stop("reaped");
    });
    this.ended = this.#run();
  }

  cancel(reason: "canceled" | "abandoned"): void {
    this.#stop(reason);
  }

  pause(): void {
    this.#paused = true;
    this.#silence.stop();
    this.#hang.stop();
    this.#process?.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#heard();
    this.#process?.resume();
  }

  #stop(reason: EndReason, message?: string): void {
    this.#stopping = true;
    this.#stopped.resolve({ reason, ...(message === undefined ? {} : { error: { code: reason, message } }) });
  }

  async #run(): Promise<AttemptEnd> {
    const { launch } = this.#plan;
    let end = await this.#runProcess(launch);
    const why = end.reason === "exited" && end.exit?.code !== 0 ? this.#whyNotBegun(launch) : undefined;
    if (why !== undefined && launch.startOver !== undefined) {
      this.#earlyErrors = undefined;
      this.#chunker.add("system", `${this.#plan.name}: ${why}; a new session begins\n`);
      end = await this.#runProcess(launch.startOver);
    }
    this.#conclude(end.reason);
    return { ...end, ...this.#errorOf(end, why) };
  }

  /** One process from its start to the proof that nothing of it is left, with all it has written read. */
  async #runProcess(launch: AgentLaunch): Promise<AttemptEnd> {
    let agent: AgentProcess;
    try {
      agent = await this.#start(launch);
    } catch (error) {
      const message = `${this.#plan.name} could not be started: ${this.#redactor.text(String(error))}`;
      return { reason: "refused", error: { code: "spawn_failed", message } };
    }
    const tree = attemptTree(attemptId(this.#request.runId, this.#request.attempt), agent.pid);
    this.#process = agent;
    this.#reader = this.#plan.agent.reader?.(this.#request.worktree?.root ?? this.#plan.workdir, launch);
    this.#lines = new LineSplitter(LINE_MAX_BYTES);
    this.#earlyErrors = launch.explainExit === undefined ? undefined : "";
    this.#stopping = false;
    this.#wall.start();
    this.#heard();
    this.#connect(agent, launch);
    let exit: ProcessExit | undefined;
    const exited = (async () => {
      exit = await agent.exited;
      return { reason: "exited" as const, error: undefined };
    })();
    const { reason, error } = await Promise.race([this.#stopped.promise, exited]);
    this.#stopping = true;
    this.#stopLocalInput();
    this.#say = undefined;
    for (const clock of [this.#wall, this.#silence, this.#hang, this.#grace]) clock.stop();
    let left: string[] | undefined;
    const proof = await endTree(tree, this.#clocks, (survivors) => {
      left ??= survivors.filter((pid) => pid !== agent.pid).map(processName);
      this.#events.signalled(survivors);
    });
    this.resume();
    await Promise.race([exited, sleep(this.#clocks.drainMs)]);
    await agent.finishOutput(this.#clocks.drainMs);
    if (reason === "exited" && left !== undefined) this.#tellOfLeft(left);
    return { reason, tree: proof, ...(exit === undefined ? {} : { exit }), ...(error && { error }) };
  }

  async #start(launch: AgentLaunch): Promise<AgentProcess> {
    const cwd = this.#request.worktree?.root ?? this.#plan.workdir;
    const options = { file: launch.file, args: launch.args, cwd, env: stepVariables(this.#request) };
    if (!launch.terminal) return await startPiped(options);
    const { startInTerminal } = await import("./pty.ts");
    return startInTerminal(options);
  }

  /** Output goes out, input goes in. */
  #connect(agent: AgentProcess, launch: AgentLaunch): void {
    const { localInput } = this.#plan;
    agent.onOutput((stream, bytes) => {
      this.#read(stream, bytes);
    });
    if (this.#paused) agent.pause();
    if (launch.input !== "") agent.write(launch.input);
    this.#say = launch.say;
    if (launch.say !== undefined) this.#listenToPeople();
    if (launch.pipesInput === true && localInput !== undefined) agent.pipeInput?.(localInput.stream);
    else if (launch.say === undefined) agent.closeInput();
    else if (launch.terminal && localInput !== undefined) {
      let hasTyped = false;
      this.#stopLocalInput = localInput.typed({
        onBytes: (bytes) => {
          hasTyped = true;
          agent.write(bytes);
        },
        // An input that was empty from the start belongs to nobody, and ends nothing.
        onEnd: () => {
          if (hasTyped) agent.closeInput();
        },
      });
    }
  }

  #listenToPeople(): void {
    this.#request.conversation?.onMessage(async ({ text, by }) => {
      const isHidden = this.#process?.isEchoOff?.() === true;
      if (this.#say !== undefined) this.#process?.write(this.#say(text));
      this.#unanswered += this.#reader === undefined ? 0 : 1;
      this.#chunker.add(
        "system",
        isHidden ? `${by} answered (hidden)\n` : `${by}: ${this.#redactor.text(text)}\n`,
      );
      return Promise.resolve(isHidden ? "hidden" : "steered");
    });
  }

  /** Says that processes which the program had left running were ended, since users may not expect that. */
  #tellOfLeft(names: readonly string[]): void {
    const more = names.length > LEFT_NAMED_MAX ? `, and ${names.length - LEFT_NAMED_MAX} more` : "";
    const named = names.slice(0, LEFT_NAMED_MAX).join(", ") + more;
    this.#chunker.add(
      "system",
      `Stopped what ${this.#plan.name} left running: ${this.#redactor.text(named)}\n`,
    );
  }

  #whyNotBegun({ explainExit }: AgentLaunch): string | undefined {
    return this.#earlyErrors === undefined ? undefined : explainExit?.(this.#earlyErrors);
  }

  /** Why the program failed, in the words that people read first. What the process says already stands. */
  #errorOf({ reason, exit, error }: AttemptEnd, why: string | undefined): { error?: Reason } {
    if (error !== undefined || reason !== "exited" || exit === undefined || exit.code === 0) return {};
    const { name } = this.#plan;
    if (exit.code === null)
      return { error: { code: "killed", message: `${name} was killed by ${exit.signal}` } };
    const { failed } = this.#summary.facts;
    const message =
      failed !== undefined || why !== undefined
        ? `${name} failed: ${failed ?? why ?? ""}`
        : `${name} failed (exit code ${exit.code})`;
    return { error: { code: "exit_code", message } };
  }

  /** Something was said: the silence begins again. */
  #heard(): void {
    if (this.#stopping || this.#paused || this.#grace.running) return;
    this.#silence.start();
    this.#hang.start();
  }

  #warnOfSilence(): void {
    this.#silences += 1;
    const text = `No output for ${durationText(this.#plan.hangMs)}; still running`;
    this.#tell({ type: "warning", id: `hang ${this.#silences}`, state: "completed", code: "hang", text });
  }

  #read(stream: TextStream, bytes: Buffer): void {
    this.#heard();
    if (stream === "stdout" && this.#reader !== undefined) {
      const lines = this.#lines.write(bytes);
      if (lines === undefined)
        this.#stop("reaped", `a line of the agent's stream is longer than ${LINE_MAX_BYTES} bytes`);
      for (const line of lines ?? []) this.#line(this.#reader, line);
      return;
    }
    const text = this.#texts[stream].decoder.write(bytes);
    if (stream === "stderr" && this.#earlyErrors !== undefined)
      this.#earlyErrors = (this.#earlyErrors + text).slice(-EARLY_ERRORS_MAX_CHARS);
    else this.#texts[stream].terminal.write(text);
  }

  /** The stream has begun, or will not begin: what its standard error said so far is shown like all of it. */
  #showEarlyErrors(): void {
    const errors = this.#earlyErrors;
    this.#earlyErrors = undefined;
    if (errors !== undefined) this.#texts.stderr.terminal.write(errors);
  }

  #line(reader: AgentReader, line: string): void {
    const event = asEvent(line);
    if (event === undefined) {
      if (line.trim() !== "") this.#texts.stdout.terminal.write(`${line}\n`);
      return;
    }
    this.#showEarlyErrors();
    const { items, facts, over } = reader.event(this.#redactor.value(event));
    for (const item of items) this.#tell(item);
    if (facts !== undefined) this.#summary.learn(facts);
    if (facts?.thread !== undefined && facts.thread !== "") this.#plan.threadKnown(facts.thread);
    if (over === true) this.#terminalEvent();
  }

  #terminalEvent(): void {
    if (this.#unanswered > 0) {
      this.#unanswered -= 1;
      return;
    }
    this.#chunker.flush();
    this.#over = true;
    this.#events.result(this.#summary.result(this.#durationMs));
    if (this.#say !== undefined) this.#process?.closeInput();
    this.#say = undefined;
    this.#silence.stop();
    this.#hang.stop();
    if (!this.#stopping) this.#grace.start();
  }

  #tell(item: AgentItem): void {
    this.#chunker.flush();
    this.#summary.note(item);
    const { thread } = this.#summary.facts;
    if (item.type === "usage" && thread !== undefined) this.#plan.threadKnown(thread, item.thread);
    this.#plan.log.write({ type: "item", item });
    const visible = shown(item, this.#plan.policy);
    if (visible === undefined) return;
    this.#events.output("agent", JSON.stringify(visible));
    this.#plan.display.item(visible);
  }

  #print(stream: TextStream, text: string): void {
    this.#show(stream, this.#texts[stream].clean.write(text));
  }

  #show(stream: TextStream, clean: string): void {
    const { safe, mode } = this.#plan.policy;
    // Text that is no item is a body, whoever writes it: an agent's errors name commands and files, too.
    if (safe || (mode === "minimal" && this.#reader === undefined)) this.#leftOutChars += clean.length;
    else this.#chunker.add(stream, clean);
  }

  #conclude(reason: EndReason): void {
    const rest = this.#reader === undefined ? undefined : this.#lines.write(Buffer.from("\n"));
    for (const line of rest ?? []) if (this.#reader !== undefined) this.#line(this.#reader, line);
    this.#showEarlyErrors();
    for (const item of this.#reader?.end?.() ?? []) this.#tell(item);
    for (const stream of ["stdout", "stderr"] as const) {
      const { decoder, terminal, clean } = this.#texts[stream];
      terminal.write(decoder.end());
      terminal.end();
      this.#show(stream, clean.end());
    }
    if (this.#leftOutChars > 0) {
      const why = this.#plan.policy.safe ? "safe mode" : "minimal mode";
      this.#chunker.add("system", `Output hidden (${why}): ${this.#leftOutChars} characters\n`);
    }
    this.#chunker.flush();
    this.#tell(this.#summary.item(this.#durationMs));
    this.#grace.stop();
    // What was ended before it was over has no result: how it was ended is what counts.
    if (this.#over || (reason === "exited" && this.#reader === undefined))
      this.#events.result(this.#summary.result(this.#durationMs));
  }

  get #durationMs(): number {
    return Math.round(performance.now() - this.#beganAt);
  }
}

/** For people: "90 s", "2 min". */
function durationText(ms: number): string {
  const seconds = Math.round(ms / SECOND_MS);
  return seconds >= 120 && seconds % 60 === 0 ? `${seconds / 60} min` : `${seconds} s`;
}

/** The name of a process, where this system tells it. */
function processName(pid: number): string {
  try {
    return `${readFileSync(`/proc/${pid}/comm`, "utf8").trim()} (${pid})`;
  } catch {
    return `process ${pid}`;
  }
}

/** Undefined for a line that is no object of JSON. */
function asEvent(line: string): object | undefined {
  if (!line.startsWith("{")) return undefined;
  try {
    const value: unknown = JSON.parse(line);
    return value !== null && typeof value === "object" ? value : undefined;
  } catch {
    return undefined;
  }
}
