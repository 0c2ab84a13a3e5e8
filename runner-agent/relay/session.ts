/**
 * The life of one relayed session on this box: the agent's process from its start to the proof that nothing of it is
 * left, and its stream as items. Owns the process and its clocks. To the attempt that carries it (attempt.ts) it is a
 * step like any other.
 *
 * L1. The agent's terminal event is the end: its result is sent at once, and the process has a grace to go (invariant 9).
 * L2. Silence is of the stream, not of the process: after the hang threshold it is said, after the silence clock it ends.
 * L3. What is shown, logged or journaled has gone through the redactor before (invariant 15).
 */
import { StringDecoder } from "node:string_decoder";
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

/** What a session needs besides its attempt. */
export interface SessionPlan {
  agent: Agent;
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
  /** Of the relay itself, for an agent that hears. */
  localInput?: NodeJS.ReadableStream;
}

export interface SessionDisplay {
  item(item: AgentItem): void;
  text(stream: "stdout" | "stderr" | "system", text: string): void;
}

type TextStream = "stdout" | "stderr";

export class RelayedSession implements RunningStep {
  readonly pid = undefined;
  readonly ended: Promise<AttemptEnd>;
  readonly #plan: SessionPlan;
  readonly #request: StepRequest;
  readonly #events: StepEvents;
  readonly #clocks: StepClocks;
  readonly #redactor: Redactor;
  readonly #reader: AgentReader | undefined;
  readonly #summary = new SessionSummary();
  readonly #lines = new LineSplitter(LINE_MAX_BYTES);
  readonly #texts: Record<TextStream, { decoder: StringDecoder; clean: RedactionStream }>;
  readonly #terminal: TerminalText;
  readonly #chunker: OutputChunker;
  readonly #wall: Countdown;
  readonly #silence: Countdown;
  readonly #hang: Countdown;
  readonly #grace: Countdown;
  readonly #beganAt = performance.now();
  readonly #stopped = Promise.withResolvers<{ reason: EndReason; error?: Reason }>();
  #process: AgentProcess | undefined;
  #stopping = false;
  #paused = false;
  #over = false;
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
    this.#reader = plan.agent.reader?.(request.worktree?.root ?? plan.workdir, plan.launch);
    const text = () => ({ decoder: new StringDecoder("utf8"), clean: this.#redactor.stream() });
    this.#texts = { stdout: text(), stderr: text() };
    this.#terminal = new TerminalText((piece) => {
      this.#print("stdout", piece);
    });
    this.#chunker = new OutputChunker((stream, piece) => {
      plan.log.write({ type: "text", stream, text: piece });
      events.output(stream, piece);
      plan.display.text(stream === "agent" ? "stdout" : stream, piece);
    });
    this.#wall = new Countdown(timeoutMs, () => {
      this.#stop("timeout", `the session ran longer than its timeout of ${timeoutMs / 1000} s`);
    });
    this.#silence = new Countdown(silenceMs, () => {
      this.#stop("silence", `the agent said nothing for ${silenceMs / 1000} s`);
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
    let agent: AgentProcess;
    try {
      agent = await this.#start();
    } catch (error) {
      const message = `the agent could not be started: ${this.#redactor.text(String(error))}`;
      return { reason: "refused", error: { code: "spawn_failed", message } };
    }
    const tree = attemptTree(attemptId(this.#request.runId, this.#request.attempt), agent.pid);
    this.#process = agent;
    this.#wall.start();
    this.#heard();
    this.#listen(agent);
    let exit: ProcessExit | undefined;
    const exited = (async () => {
      exit = await agent.exited;
      this.#stop("exited");
    })();
    const { reason, error } = await this.#stopped.promise;
    for (const clock of [this.#wall, this.#silence, this.#hang, this.#grace]) clock.stop();
    const proof = await endTree(tree, this.#clocks, (survivors) => {
      this.#events.signalled(survivors);
    });
    await this.#lastOutput(agent, exited);
    this.#conclude(reason);
    return { reason, tree: proof, ...(exit === undefined ? {} : { exit }), ...(error && { error }) };
  }

  async #start(): Promise<AgentProcess> {
    const { launch, workdir } = this.#plan;
    const cwd = this.#request.worktree?.root ?? workdir;
    const options = { file: launch.file, args: launch.args, cwd, env: stepVariables(this.#request) };
    if (!launch.terminal) return await startPiped(options);
    const { startInTerminal } = await import("./pty.ts");
    return startInTerminal(options);
  }

  #listen(agent: AgentProcess): void {
    const { launch, localInput } = this.#plan;
    agent.onOutput((stream, bytes) => {
      this.#read(stream, bytes);
    });
    if (launch.input !== "") agent.write(launch.input);
    const { say } = launch;
    if (say === undefined) {
      agent.closeInput();
      return;
    }
    this.#request.conversation?.onMessage(async ({ text, by }) => {
      agent.write(say(text));
      this.#unanswered += this.#reader === undefined ? 0 : 1;
      this.#chunker.add("system", `${by}: ${this.#redactor.text(text)}\n`);
      return Promise.resolve("steered");
    });
    let typed = false;
    localInput?.on("data", (bytes: Buffer) => {
      typed = true;
      agent.write(bytes.toString());
    });
    // An input that was empty from the start is nobody's, and ends nothing.
    localInput?.on("end", () => {
      if (typed) agent.closeInput();
    });
  }

  /** Something was said: the silence begins again. */
  #heard(): void {
    if (this.#stopping || this.#paused || this.#grace.running) return;
    this.#silence.start();
    this.#hang.start();
  }

  #warnOfSilence(): void {
    this.#silences += 1;
    const text = `the agent has said nothing for ${Math.round(this.#plan.hangMs / 1000)} s`;
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
    if (this.#plan.launch.terminal) this.#terminal.write(text);
    else this.#print(stream, text);
  }

  #line(reader: AgentReader, line: string): void {
    const event = asEvent(line);
    if (event === undefined) {
      if (line.trim() !== "") this.#print("stdout", `${line}\n`);
      return;
    }
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
    if (this.#plan.launch.say !== undefined) this.#process?.closeInput();
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
    const clean = this.#texts[stream].clean.write(text);
    const { safe, mode } = this.#plan.policy;
    // What an agent without items prints is the body itself.
    if (this.#reader === undefined && (safe || mode === "minimal")) this.#leftOutChars += clean.length;
    else this.#chunker.add(stream, clean);
  }

  /** The exit decides, not the end of the pipes: somebody else may hold those for ever. */
  async #lastOutput(agent: AgentProcess, exited: Promise<void>): Promise<void> {
    this.resume();
    let timer: NodeJS.Timeout | undefined;
    await Promise.race([
      exited,
      new Promise((resolve) => {
        timer = setTimeout(resolve, this.#clocks.drainMs);
      }),
    ]);
    clearTimeout(timer);
    agent.abandonOutput();
  }

  #conclude(reason: EndReason): void {
    this.#terminal.end();
    const rest = this.#reader === undefined ? undefined : this.#lines.write(Buffer.from("\n"));
    for (const line of rest ?? []) if (this.#reader !== undefined) this.#line(this.#reader, line);
    for (const stream of ["stdout", "stderr"] as const) {
      const { decoder, clean } = this.#texts[stream];
      this.#chunker.add(stream, clean.write(decoder.end()) + clean.end());
    }
    if (this.#leftOutChars > 0)
      this.#chunker.add("system", `${this.#leftOutChars} characters of output are left out here\n`);
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
