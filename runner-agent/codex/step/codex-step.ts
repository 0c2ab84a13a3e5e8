/**
 * The runner kind `codex`: one or more turns in a thread of the real Codex, from the rendered prompt to a result in the
 * form of FLOW_RESULT. Its life from a server to the proof that nothing is left: step-life.ts (K2, K4).
 *
 *   plan ─▶ server ─▶ thread ─▶ turn ─▶ answer ──valid──▶ result
 *                                 ▲        ├─invalid──▶ one correcting turn
 *                                 └────────┴─messages that came too late for the turn
 *
 * K1. The turn that completed is the terminal event: its result is sent at once, whatever still runs (invariant 9).
 * K3. A thread has one writer: before an existing one is written to, the edge has said that it is this run. An attempt
 *     behind one that was cut off goes on in the same thread.
 */
import type { AgentItem } from "../../../contract/agent-item.ts";
import type { FlowResult } from "../../../contract/flow-result.ts";
import type { Message } from "../../conversation.ts";
import { refusedStep } from "../../steps/refused-step.ts";
import type { StepStarter } from "../../steps/step.ts";
import type { CodexHost } from "../codex-host.ts";
import type { ServerLease } from "../shared-server.ts";
import { BudgetMeter, WARN_AT } from "./budget-meter.ts";
import { correction } from "./final-answer.ts";
import { StepLife, type StepWork } from "./step-life.ts";
import { planStep, StepPlanError, type StepPlan } from "./step-plan.ts";
import { turnFailed, turnInterrupted, type Stop } from "./step-stop.ts";
import { chooseThread } from "./thread-choice.ts";
import type { ThreadSession, TurnOutcome } from "./thread-session.ts";

/** Messages that came when no turn took them, as one more turn. */
const MESSAGE_BORDER = "\n\n";

export function codexStarter(host: CodexHost): StepStarter {
  return (request, events, clocks) => {
    try {
      const plan = planStep(request, host.rules);
      return new StepLife(
        { host, place: plan, request, events, clocks },
        (life) => new CodexWork(life, plan),
      );
    } catch (error) {
      if (error instanceof StepPlanError) return refusedStep({ code: error.code, message: error.message });
      throw error;
    }
  };
}

class CodexWork implements StepWork {
  readonly #life: StepLife;
  readonly #plan: StepPlan;
  readonly #meter: BudgetMeter;
  #budgetTimer: NodeJS.Timeout | undefined;
  #warned = false;
  /** The turn was interrupted for the budget. */
  #spent = false;
  /** Messages that no turn has taken. */
  #queued: string[] = [];
  /** Messages that the active turn has taken and not yet shown: one that came behind its last look is for the next. */
  #steered: string[] = [];

  constructor(life: StepLife, plan: StepPlan) {
    const { budget, continues } = life.request;
    this.#life = life;
    this.#plan = plan;
    this.#meter = new BudgetMeter({
      limits: budget,
      before: continues?.used,
      price: life.host.prices[plan.settings.model ?? ""],
    });
  }

  heard(item: AgentItem): void {
    if (item.type === "message" && item.state === "completed" && item.role === "user")
      this.#steered = this.#steered.filter((text) => this.#life.redactor.text(text) !== item.text);
    if (item.type !== "usage") return;
    this.#meter.reported(item);
    this.#watchBudget();
  }

  ended(stop: Stop): Stop {
    clearTimeout(this.#budgetTimer);
    return stop;
  }

  async work(lease: ServerLease): Promise<Stop> {
    const { host, request, variables } = this.#life;
    const { settings, prompt } = this.#plan;
    const fit = host.fit(lease.server, { sandbox: settings.sandbox, model: true });
    // Awaited below; until then nobody listens.
    fit.catch(() => undefined);
    const opened = await chooseThread({
      lease,
      plan: this.#plan,
      request,
      sessions: host.sessions,
      variables,
      say: (text) => {
        this.#life.say(text);
      },
    });
    await fit;
    if (opened.kind === "held") return this.#blocked(opened.heldBy);
    const { threadId, again } = opened;
    const session = this.#life.enter(threadId, settings);
    request.conversation?.onMessage((message) => this.#hear(session, message));
    request.conversation?.onBudget((budget) => {
      this.#meter.raise(budget);
      this.#watchSeconds();
    });
    return this.#life.stop ?? (await this.#turns(session, again ? `${INTERRUPTED}\n\n${prompt}` : prompt));
  }

  async #turns(session: ThreadSession, prompt: string): Promise<Stop> {
    const { form } = this.#plan;
    let text = prompt;
    let corrected = false;
    for (;;) {
      const outcome = await this.#turn(session, text);
      const over = this.#life.stop ?? this.#overBudget();
      if (outcome.kind !== "completed") {
        if (over !== undefined) return over;
        if (outcome.kind === "failed") return turnFailed(outcome);
        if (this.#spent) {
          // Somebody has raised the budget while the turn was being interrupted for it.
          this.#spent = false;
          text = GO_ON;
          continue;
        }
        return turnInterrupted();
      }
      this.#queued.push(...this.#steered.splice(0));
      if (this.#queued.length > 0 && over === undefined) {
        text = this.#queued.splice(0).join(MESSAGE_BORDER);
        continue;
      }
      const read = form.read(outcome.answer);
      if ("result" in read) {
        this.#result(read.result);
        return { reason: "exited" };
      }
      if (over !== undefined) return over;
      if (corrected)
        return {
          reason: "reaped",
          error: { code: "invalid_result", message: `the final answer is no FLOW_RESULT: ${read.wrong}` },
        };
      corrected = true;
      text = correction(read.wrong);
    }
  }

  async #turn(session: ThreadSession, text: string): Promise<TurnOutcome> {
    this.#meter.turnStarted();
    this.#watchSeconds();
    try {
      return await session.turn({
        text,
        effort: this.#plan.settings.effort,
        outputSchema: this.#plan.form.schema,
      });
    } finally {
      this.#meter.turnEnded();
      clearTimeout(this.#budgetTimer);
    }
  }

  #blocked(heldBy: string): Stop {
    this.#life.events.result({
      status: "blocked",
      message: `another run writes to this session's thread: ${heldBy}`,
      artifacts: { heldBy },
    });
    return { reason: "exited" };
  }

  async #hear(session: ThreadSession, { text }: Message): Promise<"steered" | "queued"> {
    if (!(await session.steer(text))) {
      this.#queued.push(text);
      return "queued";
    }
    this.#steered.push(text);
    return "steered";
  }

  #watchBudget(): void {
    const { highest, exceeded } = this.#meter.state;
    if (exceeded !== undefined) {
      this.#spent = true;
      void this.#life.session?.interrupt();
    } else if (highest !== undefined && highest.share >= WARN_AT && !this.#warned) {
      this.#warned = true;
      const text = `${Math.floor(highest.share * 100)} % of the budget of ${highest.unit} is used`;
      this.#life.items.add({ type: "warning", id: "budget", state: "completed", text, code: "budget" });
    }
  }

  #watchSeconds(): void {
    clearTimeout(this.#budgetTimer);
    const { msLeft } = this.#meter;
    if (msLeft !== undefined)
      this.#budgetTimer = setTimeout(
        () => {
          this.#watchBudget();
        },
        Math.min(msLeft, TIMER_MAX_MS) + 1,
      );
  }

  /** Used up, and said so as a result: what was done stands, and a person may let it go on. */
  #overBudget(): Stop | undefined {
    const { exceeded, used } = this.#meter.state;
    if (exceeded === undefined) return undefined;
    const limit = this.#meter.limits[exceeded] ?? 0;
    this.#result({
      status: "needs_intervention",
      message: `the budget of ${limit} ${exceeded} is used up (${rounded(used[exceeded] ?? 0)}): let it go on with codex-flow runs budget ${this.#life.request.runId} --add-${exceeded} <n>`,
      artifacts: { budget: { limits: this.#meter.limits, used, exceeded } },
    });
    return { reason: "exited" };
  }

  #result(result: FlowResult): void {
    this.#life.items.flush();
    const { tokens, state, limits } = this.#meter;
    const budget = Object.keys(limits).length === 0 ? {} : { budget: { limits, used: state.used } };
    this.#life.events.result({
      ...result,
      artifacts: {
        threadId: this.#life.session?.threadId,
        turnIds: this.#life.session?.turnIds,
        usage: tokens,
        ...budget,
        ...this.#life.record.artifacts,
        ...result.artifacts,
      },
    });
  }
}

const INTERRUPTED =
  "The attempt at this task before was cut off. Look at what is there already and go on from it. The task was:";
const GO_ON = "You were interrupted and may go on now, where you left off.";
/** The longest time that a timer of Node takes. */
const TIMER_MAX_MS = 2 ** 31 - 2;

function rounded(value: number): number {
  return Math.round(value * 100) / 100;
}
