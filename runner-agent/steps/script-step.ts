/**
 * The life of a script step: one process in a session of its own, from its start to the proof that nothing of it is
 * left. Owns the process, its pipes and the timers; whatever ends the step first (exit, result and grace, a clock, a
 * cancel) says why, and everything goes the same way from there.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { statSync, type Stats } from "node:fs";
import { resolve } from "node:path";
import type { Readable } from "node:stream";
import { attemptId } from "../../contract/ids.ts";
import type { AttemptEnd, EndReason, ProcessExit, Reason } from "../../contract/run-record.ts";
import { Countdown, type StepClocks } from "./clocks.ts";
import { attemptTree, endTree, ENVIRONMENTS_VISIBLE, type StepTree } from "./process-tree.ts";
import { Redactor } from "./redaction.ts";
import { refusedStep } from "./refused-step.ts";
import { RESULT_DESCRIPTOR, ResultChannel } from "./result-channel.ts";
import { resultRule } from "./result-reader.ts";
import { openStandardStreams } from "./standard-streams.ts";
import type { RunningStep, StepEvents, StepRequest, StepStarter } from "./step.ts";
import { stepContext, stepVariables, workingDirectory } from "./step-input.ts";
import { StepOutput } from "./step-output.ts";
import { scopedCommand, scopeFault, type Command } from "./systemd-scope.ts";

/** Beside this file in the source, and beside the bundle when built. */
const WRAPPER = new URL("./module-wrapper.mjs", import.meta.url);

/**
 * A runner kind whose steps are scripts: all it has to say is which command runs one.
 * @param commandFor `root` is the flow package's folder
 */
export function scriptStarter(
  commandFor: (wrapper: URL, script: string, root: string) => Command,
): StepStarter {
  return (request, events, clocks) => {
    const { flow, step } = request;
    const script = resolve(flow.root, step.script);
    const directory = workingDirectory(request);
    const where = `step ${flow.name}/${step.name}`;
    if (look(script)?.isFile() !== true)
      return refusedStep({
        code: "script_missing",
        message: `${where}: there is no script ${script} (script = "${step.script}" in flow.toml); bring this box's checkout back to the deployed commit, or correct the path and deploy again`,
      });
    if (look(directory)?.isDirectory() !== true)
      return refusedStep({
        code: "cwd_missing",
        message: `${where}: there is no directory ${directory} (cwd)`,
      });
    const fault = isScoped(request) ? scopeFault(process.env) : undefined;
    if (fault !== undefined) return refusedStep(fault);
    const started = start(commandFor(WRAPPER, script, flow.root), directory, request);
    return "pid" in started ? new ScriptStep(started, request, events, clocks) : refusedStep(started);
  };
}

function look(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch {
    return undefined;
  }
}

/** A step's process with the agent's ends of its pipes. */
interface Started {
  child: ChildProcess;
  pid: number;
  stdout: Readable;
  stderr: Readable;
  results: Readable;
}

function isScoped({ executor }: StepRequest): boolean {
  return executor?.kind === "systemd-run";
}

/** The command as this box runs it, with the whole environment that it starts in. */
function executed(command: Command, request: StepRequest): Command & { variables: Record<string, string> } {
  const { executor } = request;
  const variables = stepVariables(request);
  if (executor?.kind !== "systemd-run") return { ...command, variables };
  const id = attemptId(request.runId, request.attempt);
  return scopedCommand(command, { attemptId: id, limits: executor.limits, variables, box: process.env });
}

function start(command: Command, directory: string, request: StepRequest): Started | Promise<Reason> {
  const { file, args, variables } = executed(command, request);
  const context = stepContext(request);
  const streams = openStandardStreams(context);
  const [stdin, stdout, stderr] = streams?.descriptors ?? (["pipe", "pipe", "pipe"] as const);
  let child: ChildProcess;
  try {
    child = spawn(file, args, {
      cwd: directory,
      env: variables,
      stdio: [stdin, stdout, stderr, "pipe"],
      detached: true,
    });
  } catch (error) {
    // Thrown at once when the system refuses the arguments or the environment, as one that is too large.
    closeAll([streams?.stdout, streams?.stderr]);
    return Promise.resolve(spawnFailed(request, error));
  } finally {
    streams?.started();
  }
  // A step that does not read its context closes the pipe, and what is left of it is dropped.
  child.stdin?.on("error", () => undefined).end(context);
  const pipes = {
    stdout: streams?.stdout ?? child.stdout,
    stderr: streams?.stderr ?? child.stderr,
    results: child.stdio[RESULT_DESCRIPTOR] as Readable | undefined,
  };
  const { pid } = child;
  const { stdout: out, stderr: err, results } = pipes;
  if (pid !== undefined && out !== null && err !== null && results !== undefined)
    return { child, pid, stdout: out, stderr: err, results };
  return once(child, "error").then(([error]) => {
    closeAll([out, err, results]);
    return spawnFailed(request, error);
  });
}

function closeAll(pipes: ReadonlyArray<Readable | null | undefined>): void {
  for (const pipe of pipes) pipe?.destroy();
}

function spawnFailed({ flow, step }: StepRequest, error: unknown): Reason {
  const why = error instanceof Error ? error.message : String(error);
  return { code: "spawn_failed", message: `step ${flow.name}/${step.name} could not be started: ${why}` };
}

class ScriptStep implements RunningStep {
  readonly pid: number;
  readonly ended: Promise<AttemptEnd>;
  readonly #process: Started;
  readonly #events: StepEvents;
  readonly #clocks: StepClocks;
  readonly #tree: StepTree;
  readonly #output: StepOutput;
  readonly #wall: Countdown;
  readonly #silence: Countdown;
  readonly #grace: Countdown;
  readonly #drain: Countdown;
  readonly #over = Promise.withResolvers<AttemptEnd>();
  readonly #drained = Promise.withResolvers<undefined>();
  readonly #channel = new ResultChannel(() => {
    this.#ignorePrintedResults();
  });
  /** A module's results that wait for the output before them. */
  #undelivered: string[] = [];
  /** The agent has results of a module, and not only lines that a module printed before it was known to be one. */
  #hasModuleResult = false;
  #hasPrintedResult = false;
  /** What is to come from the process: the end of its pipes, and its exit. */
  #awaited = 4;
  #ending = false;
  #draining = false;
  #paused = false;
  #signals = 0;
  #exit: ProcessExit | undefined;
  /** What is wrong with the last FLOW_RESULT line; absent while that one is valid, or there is none. */
  #invalid: string | undefined;

  constructor(started: Started, request: StepRequest, events: StepEvents, clocks: StepClocks) {
    const { timeoutMs, silenceMs } = request.step;
    const { pid } = started;
    this.pid = pid;
    this.#process = started;
    this.#events = events;
    this.#clocks = clocks;
    this.ended = this.#over.promise;
    this.#tree = attemptTree(attemptId(request.runId, request.attempt), pid, isScoped(request));
    this.#output = new StepOutput(new Redactor(request.env.secrets), resultRule(request.step), {
      output: (stream, text) => {
        events.output(stream, text);
      },
      result: (result) => {
        events.result(result);
        this.#resultSeen(undefined);
      },
      invalid: (message) => {
        this.#resultSeen(message);
      },
    });
    this.#wall = new Countdown(timeoutMs, () => {
      this.#end("timeout", `the step ran longer than its timeout_ms of ${timeoutMs} ms`);
    });
    this.#silence = new Countdown(silenceMs, () => {
      this.#end("silence", `the step printed nothing for its silence_ms of ${silenceMs} ms`);
    });
    this.#grace = new Countdown(clocks.resultGraceMs, () => {
      this.#end("reaped");
    });
    this.#drain = new Countdown(clocks.drainMs, () => {
      this.#drained.resolve(undefined);
    });
    this.#wall.start();
    this.#silence.start();
    this.#listen();
  }

  cancel(reason: "canceled" | "abandoned"): void {
    this.#end(reason);
  }

  pause(): void {
    // Of a step that is over, no more can come than stands in its pipes.
    if (this.#draining) return;
    this.#paused = true;
    this.#silence.stop();
    this.#drain.stop();
    for (const pipe of [this.#process.stdout, this.#process.stderr]) pipe.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#startSilence();
    this.#startDrain();
    for (const pipe of [this.#process.stdout, this.#process.stderr]) pipe.resume();
    this.#deliverSoon();
  }

  #listen(): void {
    const { child, stdout, stderr, results } = this.#process;
    for (const [stream, pipe] of [
      ["stdout", stdout],
      ["stderr", stderr],
    ] as const)
      pipe.on("data", (bytes: Buffer) => {
        this.#startSilence();
        this.#output.write(stream, bytes);
      });
    results.on("data", (bytes: Buffer) => {
      this.#readChannel(bytes);
    });
    for (const pipe of [stdout, stderr, results]) {
      // A pipe that fails is a pipe that is over; "close" follows.
      pipe.on("error", () => undefined);
      pipe.on("close", this.#arrived);
    }
    child.on("exit", (code, signal) => {
      this.#exit = { code, signal };
      this.#arrived();
      this.#end("exited");
    });
  }

  #startSilence(): void {
    if (!this.#ending && !this.#paused && !this.#grace.running) this.#silence.start();
  }

  #startDrain(): void {
    if (this.#draining && !this.#paused) this.#drain.start();
  }

  readonly #arrived = (): void => {
    this.#awaited -= 1;
    if (this.#awaited === 0) this.#drained.resolve(undefined);
  };

  #readChannel(bytes: Buffer): void {
    this.#undelivered.push(...this.#channel.write(bytes));
    this.#deliverSoon();
  }

  /** What the module printed while it was evaluated was taken for a raw script's result; its grace must not end it. */
  #ignorePrintedResults(): void {
    this.#output.ignoreResultLines();
    this.#invalid = undefined;
    this.#grace.stop();
    this.#startSilence();
  }

  /**
   * What the step printed before its result is in the other pipes by now, and every pipe that has something is read
   * before the next `setImmediate`. While reading is paused, the result waits with the output.
   */
  #deliverSoon(): void {
    if (this.#undelivered.length === 0) return;
    setImmediate(() => {
      if (!this.#paused) this.#deliver();
    });
  }

  #deliver(): void {
    for (const json of this.#undelivered.splice(0)) this.#output.result(json);
  }

  /** Any result, valid or not, is the last word so far; the grace counts from the last one (invariant 9). */
  #resultSeen(invalid: string | undefined): void {
    this.#invalid = invalid;
    if (this.#channel.isModule) this.#hasModuleResult = true;
    else this.#hasPrintedResult = true;
    if (this.#ending || (invalid !== undefined && !this.#grace.running)) return;
    this.#silence.stop();
    this.#grace.start();
  }

  #end(reason: EndReason, message?: string): void {
    if (this.#ending) return;
    this.#ending = true;
    for (const clock of [this.#wall, this.#silence, this.#grace]) clock.stop();
    void this.#finish(reason, message === undefined ? undefined : { code: reason, message });
  }

  /** Whatever the reason, nothing of the step may be left: a daemon that outlives a good end goes the same way. */
  async #finish(reason: EndReason, error: Reason | undefined): Promise<void> {
    const tree = await endTree(this.#tree, this.#clocks, (survivors) => {
      this.#signalled(reason, survivors);
    });
    await this.#lastOutput();
    this.#output.end();
    this.#deliver();
    this.#over.resolve({ reason, exit: this.#exit, tree, error: error ?? this.#resultError(reason) });
  }

  #signalled(reason: EndReason, survivors: number[]): void {
    this.#events.signalled(survivors);
    if (this.#signals === 0 && reason === "exited")
      this.#output.note(`What the step left running is being ended: ${survivors.join(", ")}`);
    if (this.#signals === 0 && !ENVIRONMENTS_VISIBLE)
      this.#output.note(
        "This system shows no environments of processes: only the process group is looked at",
      );
    this.#signals += 1;
  }

  /** The exit decides, not the end of the pipes: somebody else may hold those for ever. */
  async #lastOutput(): Promise<void> {
    this.#draining = true;
    this.resume();
    await this.#drained.promise;
    this.#drain.stop();
    const { child, stdout, stderr, results } = this.#process;
    closeAll([stdout, stderr, results]);
    child.stdin?.destroy();
  }

  #resultError(reason: EndReason): Reason | undefined {
    const counts = reason === "reaped" || (reason === "exited" && this.#exit?.code === 0);
    if (!counts) return undefined;
    if (this.#invalid !== undefined) return { code: "invalid_result", message: this.#invalid };
    return this.#channel.isModule && this.#hasPrintedResult && !this.#hasModuleResult
      ? { code: "no_result", message: "the step's default export has not returned a result" }
      : undefined;
  }
}
