/**
 * The runner kind `codex`: one or more turns in a thread of the real Codex, from the rendered prompt to a result in the
 * form of FLOW_RESULT, and the proof that nothing of it is left.
 *
 *   plan ─▶ server ─▶ thread ─▶ turn ─▶ answer ──valid──▶ result
 *                                 ▲        ├─invalid──▶ one correcting turn
 *                                 └────────┴─messages that came too late for the turn
 *
 * K1. The turn that completed is the terminal event: its result is sent at once, whatever still runs (invariant 9).
 * K2. Whoever ends it first (a clock, a cancel, the budget) says why; the turn is interrupted, then what its commands
 *     have left is ended and looked for (invariant 10): every command bears the attempt's id in its environment.
 * K3. A thread has one writer: before an existing one is written to, the edge has said that it is this run.
 * K4. An app-server that dies takes the attempt with it, as lost; the next attempt goes on in the same thread.
 */
import { attemptId } from "../../../contract/ids.ts";
import type { AgentItem } from "../../../contract/agent-item.ts";
import type { ApprovalDecision } from "../../../contract/approvals.ts";
import type { FlowResult } from "../../../contract/flow-result.ts";
import type { AttemptEnd, EndReason } from "../../../contract/run-record.ts";
import type { ModelPrice } from "../../config/codex-config.ts";
import { Countdown, type StepClocks } from "../../steps/clocks.ts";
import {
  ATTEMPT_VARIABLE,
  attemptProcesses,
  endTree,
  ENVIRONMENTS_VISIBLE,
} from "../../steps/process-tree.ts";
import { Redactor } from "../../steps/redaction.ts";
import { refusedStep } from "../../steps/refused-step.ts";
import type { RunningStep, StepEvents, StepRequest, StepStarter } from "../../steps/step.ts";
import type { AppServer } from "../app-server.ts";
import { ItemCoalescer } from "../item-coalescer.ts";
import { runKey, type Sessions } from "../sessions.ts";
import type { ServerLease, SharedServer } from "../shared-server.ts";
import { approvalHandlers, type Asked } from "./approval-requests.ts";
import { BudgetMeter, type BudgetUnit } from "./budget-meter.ts";
import { BudgetWatch } from "./budget-watch.ts";
import { correction } from "./final-answer.ts";
import { Inbox, type NextTurn } from "./inbox.ts";
import { planStep, StepPlanError, type CodexRules, type StepPlan } from "./step-plan.ts";
import type { Sandbox } from "../../../contract/codex-prompt.ts";
import { isOfTheServer, stopFor, turnFailed, type Stop } from "./step-stop.ts";
import { chooseThread } from "./thread-choice.ts";
import { ThreadSession, type TurnOutcome } from "./thread-session.ts";
import { WorkRecord } from "./work-record.ts";

/** What all codex steps of an agent share. */
export interface CodexHost {
  servers: SharedServer;
  sessions: Sessions;
  rules: CodexRules;
  /** By model. */
  prices: Readonly<Record<string, ModelPrice>>;
  /**
   * Makes a directory one that Codex may work in, without trusting what lies in it. Returns variables that the commands
   * get there. @throws CodexError
   */
  admit(directory: string): Record<string, string>;
  /** Whether steps with that sandbox can run here at all. @throws CodexError that says why not */
  fit(server: AppServer, sandbox: Sandbox): Promise<void>;
}

export function codexStarter(host: CodexHost): StepStarter {
  return (request, events, clocks) => {
    try {
      return new CodexStep(host, planStep(request, host.rules), request, events, clocks);
    } catch (error) {
      if (error instanceof StepPlanError) return refusedStep({ code: error.code, message: error.message });
      throw error;
    }
  };
}

class CodexStep implements RunningStep {
  readonly pid = undefined;
  readonly ended: Promise<AttemptEnd>;
  readonly #host: CodexHost;
  readonly #plan: StepPlan;
  readonly #request: StepRequest;
  readonly #events: StepEvents;
  readonly #clocks: StepClocks;
  readonly #redactor: Redactor;
  readonly #items: ItemCoalescer;
  readonly #record = new WorkRecord();
  readonly #meter: BudgetMeter;
  readonly #budget: BudgetWatch;
  readonly #wall: Countdown;
  readonly #silence: Countdown;
  /** The whole environment of the commands that the model runs. */
  #variables: Record<string, string> = {};
  #lease: ServerLease | undefined;
  #session: ThreadSession | undefined;
  #stop: Stop | undefined;
  /** The turn was interrupted for the budget. */
  #spent = false;
  /** The last turn came to its own end. */
  #complete = false;
  #paused = false;
  #asking = 0;
  #asked = 0;
  readonly #inbox = new Inbox(async (message) => (await this.#session?.steer(message)) ?? false);

  constructor(host: CodexHost, plan: StepPlan, request: StepRequest, events: StepEvents, clocks: StepClocks) {
    const { timeoutMs, silenceMs } = request.step;
    this.#host = host;
    this.#plan = plan;
    this.#request = request;
    this.#events = events;
    this.#clocks = clocks;
    this.#redactor = new Redactor(request.env.secrets);
    this.#items = new ItemCoalescer((item) => {
      events.output("agent", JSON.stringify(item));
    });
    this.#meter = new BudgetMeter({
      limits: request.budget,
      before: request.continues?.used,
      price: host.prices[plan.settings.model ?? ""],
    });
    this.#budget = new BudgetWatch(this.#meter, {
      warn: (text) => {
        this.#items.add({ type: "warning", id: "budget", state: "completed", text, code: "budget" });
      },
      spent: () => {
        this.#spent = true;
        void this.#session?.interrupt();
      },
    });
    this.#wall = new Countdown(timeoutMs, () => {
      this.#halt("timeout", `the step ran longer than its timeout_ms of ${timeoutMs} ms`);
    });
    this.#silence = new Countdown(silenceMs, () => {
      this.#halt("silence", `Codex said nothing for the step's silence_ms of ${silenceMs} ms`);
    });
    this.#wall.start();
    this.#silence.start();
    this.ended = this.#run();
  }

  cancel(reason: "canceled" | "abandoned"): void {
    this.#halt(reason);
  }

  /** Deltas are for eyes, and are left out; the server is everybody's, so it is not held up for one thread. */
  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
  }

  /** The first reason counts. */
  #halt(reason: EndReason, message?: string): void {
    if (this.#stop !== undefined) return;
    this.#stop = { reason, ...(message === undefined ? {} : { error: { code: reason, message } }) };
    void this.#session?.interrupt();
  }

  async #run(): Promise<AttemptEnd> {
    let end: Stop;
    try {
      this.#variables = { ...this.#plan.variables, ...this.#host.admit(this.#plan.cwd) };
      this.#meter.goesOnFrom(this.#host.sessions.useOf(runKey(this.#request.runId)));
      this.#lease = await this.#host.servers.lease();
      end = this.#stop ?? (await this.#work(this.#lease));
    } catch (error) {
      // The next step gets a server that answers, on a box that may have been mended.
      if (isOfTheServer(error)) this.#lease?.retire();
      end = this.#stop ?? stopFor(error, this.#redactor);
    }
    return await this.#finish(end);
  }

  async #work(lease: ServerLease): Promise<Stop> {
    const fit = this.#host.fit(lease.server, this.#plan.settings.sandbox);
    // Awaited below; until then nobody listens.
    fit.catch(() => undefined);
    const opened = await chooseThread({
      lease,
      plan: this.#plan,
      request: this.#request,
      sessions: this.#host.sessions,
      variables: this.#variables,
      say: (text) => {
        this.#say(text);
      },
    });
    await fit;
    if (opened.kind === "held") return this.#blocked(opened.heldBy);
    const { threadId, again } = opened;
    const session = new ThreadSession({
      lease,
      threadId,
      cwd: this.#plan.cwd,
      redactor: this.#redactor,
      told: (items) => {
        this.#told(items);
      },
      shown: (id) => {
        this.#inbox.shown(id);
      },
    });
    this.#session = session;
    lease.handle(
      threadId,
      approvalHandlers({
        policy: this.#plan.settings.approvalPolicy,
        pathsOf: (itemId) => this.#record.pathsOf(itemId),
        ask: (asked, withdrawn) => this.#ask(asked, withdrawn),
      }),
    );
    this.#request.conversation?.onMessage((message) => this.#inbox.hear(message));
    this.#request.conversation?.onBudget((budget) => {
      this.#budget.raise(budget);
    });
    const prompt = again ? `${INTERRUPTED}\n\n${this.#plan.prompt}` : this.#plan.prompt;
    return this.#stop ?? (await this.#turns(session, prompt));
  }

  async #turns(session: ThreadSession, prompt: string): Promise<Stop> {
    const { form } = this.#plan;
    let next: NextTurn = { text: prompt, begun: () => undefined };
    let corrected = false;
    for (;;) {
      const outcome = await this.#turn(session, next);
      this.#complete = outcome.kind === "completed";
      if (this.#stop !== undefined && !this.#complete) return this.#stop;
      if (outcome.kind === "failed") return turnFailed(outcome);
      const said = await this.#inbox.next();
      // Looked at last: somebody may have raised it meanwhile.
      const { exceeded } = this.#meter.state;
      if (outcome.kind === "interrupted") {
        if (exceeded !== undefined) return this.#overBudget(exceeded);
        if (!this.#spent)
          return {
            reason: "reaped",
            error: { code: "turn_interrupted", message: "the turn was interrupted" },
          };
        next = goOn(said);
        continue;
      }
      if (said !== undefined && exceeded === undefined && this.#stop === undefined) {
        next = said;
        continue;
      }
      const read = form.read(outcome.answer);
      if ("result" in read) {
        this.#result(read.result);
        return { reason: "exited" };
      }
      if (this.#stop !== undefined) return this.#stop;
      if (exceeded !== undefined) return this.#overBudget(exceeded);
      if (corrected)
        return {
          reason: "reaped",
          error: { code: "invalid_result", message: `the final answer is no FLOW_RESULT: ${read.wrong}` },
        };
      corrected = true;
      next = { text: correction(read.wrong), begun: () => undefined };
    }
  }

  async #turn(session: ThreadSession, { text, begun }: NextTurn): Promise<TurnOutcome> {
    this.#spent = false;
    this.#budget.turnStarted();
    try {
      return await session.turn({
        text,
        begun,
        effort: this.#plan.settings.effort,
        outputSchema: this.#plan.form.schema,
      });
    } finally {
      this.#budget.turnEnded();
    }
  }

  #blocked(heldBy: string): Stop {
    this.#events.result({
      status: "blocked",
      message: `another run writes to this session's thread: ${heldBy}`,
      artifacts: { heldBy },
    });
    return { reason: "exited" };
  }

  #told(items: AgentItem[]): void {
    this.#restartSilence();
    for (const item of items) {
      this.#record.note(item);
      if (item.type === "usage") this.#meter.reported(item);
      if (!(this.#paused && item.state === "delta")) this.#items.add(item);
      if (item.type === "usage") this.#used();
    }
  }

  #restartSilence(): void {
    if (this.#asking === 0 && !this.#paused) this.#silence.start();
  }

  /** While somebody is asked, nobody is silent. */
  async #ask(asked: Asked, withdrawn: AbortSignal): Promise<ApprovalDecision> {
    const { conversation, attempt } = this.#request;
    if (conversation === undefined) return "decline";
    this.#asked += 1;
    this.#asking += 1;
    this.#silence.stop();
    this.#items.flush();
    const request = this.#redactor.value({ ...asked, id: `a${attempt}-${this.#asked}` });
    const { decision, by } = await conversation.ask(request as Asked & { id: string }, withdrawn);
    this.#asking -= 1;
    this.#restartSilence();
    this.#say(`${asked.title}: ${decision} (${by})`);
    return decision;
  }

  /** Written down before anything else can happen: an attempt that is lost has used it all the same. */
  #used(): void {
    const { state, limits } = this.#meter;
    if (Object.keys(limits).length > 0) this.#host.sessions.noteUse(runKey(this.#request.runId), state.used);
    this.#budget.look();
  }

  /** Used up, and said so as a result: what was done stands, and a person may let it go on. */
  #overBudget(exceeded: BudgetUnit): Stop {
    const { used } = this.#meter.state;
    const limit = this.#meter.limits[exceeded] ?? 0;
    this.#result({
      status: "needs_intervention",
      message: `the budget of ${limit} ${exceeded} is used up (${rounded(used[exceeded] ?? 0)}): let it go on with codex-flow runs budget ${this.#request.runId} --add-${exceeded} <n>`,
      artifacts: { budget: { limits: this.#meter.limits, used, exceeded } },
    });
    return { reason: "exited" };
  }

  #result(result: FlowResult): void {
    this.#items.flush();
    const { tokens, state, limits } = this.#meter;
    const budget = Object.keys(limits).length === 0 ? {} : { budget: { limits, used: state.used } };
    this.#events.result({
      ...result,
      artifacts: {
        threadId: this.#session?.threadId,
        turnIds: this.#session?.turnIds,
        usage: tokens,
        ...budget,
        ...this.#record.artifacts,
        ...result.artifacts,
      },
    });
  }

  #say(text: string): void {
    this.#events.output("system", `${this.#redactor.text(text)}\n`);
  }

  async #finish({ reason, error }: Stop): Promise<AttemptEnd> {
    for (const clock of [this.#wall, this.#silence]) clock.stop();
    const id = attemptId(this.#request.runId, this.#request.attempt);
    // A turn that is complete has no command in its hands: what its commands have left is there to be seen, or nothing.
    const proven = this.#complete && ENVIRONMENTS_VISIBLE && (await attemptProcesses(id)).length === 0;
    if (!proven) await this.#session?.clean();
    this.#lease?.release(this.#session?.close());
    this.#items.flush();
    const tree = proven
      ? { empty: true, survivors: [] }
      : await endTree({ mark: `${ATTEMPT_VARIABLE}=${id}` }, this.#clocks, (survivors) => {
          this.#events.signalled(survivors);
        });
    // A later attempt goes on in this thread only if this one was cut off.
    if (reason === "exited") this.#host.sessions.forget([runKey(this.#request.runId)]);
    return {
      reason,
      tree,
      ...(reason === "exited" ? { exit: { code: 0, signal: null } } : {}),
      ...(error === undefined ? {} : { error }),
    };
  }
}

const INTERRUPTED =
  "The attempt at this task before was cut off. Look at what is there already and go on from it. The task was:";
/** A turn was interrupted for a budget that has been raised meanwhile. */
function goOn(said: NextTurn | undefined): NextTurn {
  return said === undefined
    ? { text: GO_ON, begun: () => undefined }
    : { ...said, text: `${GO_ON}\n\n${said.text}` };
}

const GO_ON = "You were interrupted and may go on now, where you left off.";

function rounded(value: number): number {
  return Math.round(value * 100) / 100;
}
