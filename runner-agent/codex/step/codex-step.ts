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
import { join, relative } from "node:path";
import type { AgentItem } from "../../../contract/agent-item.ts";
import { budgetAmount } from "../../../contract/budget.ts";
import type { FlowResult } from "../../../contract/flow-result.ts";
import { withOwnArtifacts } from "../../steps/own-artifacts.ts";
import { refusedStep } from "../../steps/refused-step.ts";
import type { StepStarter } from "../../steps/step.ts";
import { changesSince, type FileChange } from "../../workspace/changes.ts";
import { WorkspaceError } from "../../workspace/workspace-error.ts";
import type { CodexHost } from "../codex-host.ts";
import type { ServerLease } from "../shared-server.ts";
import { runKey } from "../sessions.ts";
import { unlessStopped } from "../../unless-stopped.ts";
import { BudgetMeter, type BudgetUnit } from "./budget-meter.ts";
import { BudgetWatch } from "./budget-watch.ts";
import { correction } from "./final-answer.ts";
import { Inbox, type NextTurn } from "./inbox.ts";
import { StepLife, type StepWork } from "./step-life.ts";
import { planStep, StepPlanError, type StepPlan } from "./step-plan.ts";
import { priceUnknown, turnFailed, turnInterrupted, type Stop } from "./step-stop.ts";
import { chooseThread } from "./thread-choice.ts";
import { changeArtifacts } from "./work-record.ts";
import type { ThreadSession, TurnOutcome } from "./thread-session.ts";

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
  readonly #budget: BudgetWatch;
  readonly #inbox: Inbox;
  /** The turn was interrupted for the budget. */
  #spent = false;

  constructor(life: StepLife, plan: StepPlan) {
    const { budget, continues } = life.request;
    this.#life = life;
    this.#plan = plan;
    this.#meter = new BudgetMeter({ limits: budget, before: continues?.used });
    this.#budget = new BudgetWatch(this.#meter, {
      warn: (unit, text) => {
        life.items.add({ type: "warning", id: `budget ${unit}`, state: "completed", text, code: "budget" });
      },
      spent: () => {
        this.#spent = true;
        void life.session?.interrupt();
      },
      used: (own) => life.request.conversation?.tellUse(own),
    });
    this.#inbox = new Inbox(async (message) => (await life.session?.steer(message)) ?? false);
  }

  heard(item: AgentItem): void {
    if (item.type !== "usage") return;
    this.#meter.reported(item);
    this.#used();
  }

  shown(messageId: string): void {
    this.#inbox.shown(messageId);
  }

  async work(lease: ServerLease): Promise<Stop> {
    const { host, request, variables, config } = this.#life;
    const { settings, prompt } = this.#plan;
    for (const known of [host.sessions.useOf(runKey(request.runId)), request.used])
      this.#meter.goesOnFrom(known);
    const fit = host.fit(lease.server, { sandbox: settings.sandbox, model: true });
    // Awaited below; until then nobody listens.
    fit.catch(() => undefined);
    const opened = await chooseThread({
      lease,
      plan: this.#plan,
      request,
      sessions: host.sessions,
      variables,
      config,
      stopped: this.#life.stopped,
      say: (text) => {
        this.#life.say(text);
      },
    });
    await unlessStopped(fit, this.#life.stopped);
    if (opened.kind === "held") return this.#blocked(opened.heldBy);
    const { threadId, model, again } = opened;
    const session = this.#life.enter(threadId, settings);
    const price = host.prices[model];
    if (price === undefined && this.#meter.limits.usd !== undefined) return priceUnknown(model);
    this.#meter.priced(price);
    request.conversation?.onMessage((message) => this.#inbox.hear(message));
    request.conversation?.onBudget((budget) => {
      this.#budget.raise(budget);
    });
    if (this.#life.stop !== undefined) return this.#life.stop;
    const { exceeded } = this.#meter.state;
    if (exceeded !== undefined)
      return await this.#overBudget(exceeded, { begun: again || request.continues !== undefined });
    return await this.#turns(session, again ? `${INTERRUPTED}\n\n${prompt}` : prompt);
  }

  async #turns(session: ThreadSession, prompt: string): Promise<Stop> {
    const { form } = this.#plan;
    let next: NextTurn = { text: prompt, begun: () => undefined };
    let corrected = false;
    for (;;) {
      const outcome = await this.#turn(session, next);
      if (outcome.kind === "failed") return this.#life.stop ?? turnFailed(outcome);
      const said = await this.#said();
      if (this.#life.stop !== undefined && outcome.kind !== "completed") return this.#life.stop;
      // Looked at last: somebody may have raised it meanwhile.
      const { exceeded } = this.#meter.state;
      if (outcome.kind === "interrupted") {
        if (exceeded !== undefined) return await this.#answeredOverBudget(exceeded, outcome.answer);
        if (!this.#spent) return turnInterrupted(this.#life.canceledBy);
        next = goOn(said);
        continue;
      }
      if (said !== undefined && exceeded === undefined && this.#life.stop === undefined) {
        next = said;
        continue;
      }
      const read = form.read(outcome.answer);
      if ("result" in read) {
        if (exceeded !== undefined) this.#noteOverrun(exceeded);
        await this.#result(read.result);
        return { reason: "exited" };
      }
      if (this.#life.stop !== undefined) return this.#life.stop;
      if (exceeded !== undefined) return await this.#overBudget(exceeded);
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

  /** What the next turn begins with. Nothing does any more when the step has to end: what Codex answers is of no matter. */
  async #said(): Promise<NextTurn | undefined> {
    const { stopped } = this.#life;
    if (stopped.aborted) return undefined;
    return await unlessStopped(this.#inbox.next(), stopped).catch((error: unknown) => {
      if (!stopped.aborted) throw error;
      return undefined;
    });
  }

  #blocked(heldBy: string): Stop {
    this.#life.events.result({
      status: "blocked",
      message: `this session's thread is written to by ${heldBy}; wait for its end, or let the step fork it (on_conflict: fork)`,
      artifacts: { heldBy },
    });
    return { reason: "exited" };
  }

  /** Written down before anything else can happen: an attempt that is lost has used it all the same. */
  #used(): void {
    const { state, limits } = this.#meter;
    const { host, request } = this.#life;
    if (Object.keys(limits).length > 0) host.sessions.noteUse(runKey(request.runId), state.used);
    this.#budget.look();
  }

  /**
   * The budget interrupted the turn. If Codex had given its final answer before that, keep it as the result: the work is
   * done, and running it again would only cost more.
   */
  async #answeredOverBudget(exceeded: BudgetUnit, answer: string | undefined): Promise<Stop> {
    const read = answer === undefined ? undefined : this.#plan.form.read(answer);
    if (read === undefined || !("result" in read)) return await this.#overBudget(exceeded);
    this.#noteOverrun(exceeded);
    await this.#result(read.result);
    return { reason: "exited" };
  }

  /** A result that came although the last call of the model went over the budget. */
  #noteOverrun(exceeded: BudgetUnit): void {
    this.#life.items.add({
      type: "warning",
      id: "budget overrun",
      state: "completed",
      text: `The answer was complete when the budget was met: ${this.#spentText(exceeded)}.`,
      code: "budget",
    });
  }

  /** `720 of 700 tokens are used` */
  #spentText(unit: BudgetUnit): string {
    const { state, limits } = this.#meter;
    return `${budgetAmount(state.used[unit] ?? 0)} of ${budgetAmount(limits[unit] ?? 0)} ${unit} are used`;
  }

  /**
   * Used up, and said so as a result: what was done stands, and a person may let it go on.
   * @param begun false: by attempts elsewhere, and the thread here is an empty one, which Codex does not keep
   */
  async #overBudget(exceeded: BudgetUnit, { begun } = { begun: true }): Promise<Stop> {
    const { used } = this.#meter.state;
    const limit = this.#meter.limits[exceeded] ?? 0;
    const remedy = begun
      ? "raise it to let the run go on"
      : `earlier attempts used it elsewhere; raise ${exceeded} in its flow.toml, and replay the run`;
    const result: FlowResult = {
      status: "needs_intervention",
      message: `the budget of ${budgetAmount(limit)} ${exceeded} is used up (${budgetAmount(used[exceeded] ?? 0)}): ${remedy}`,
      artifacts: { budget: { limits: this.#meter.limits, used, exceeded } },
    };
    if (begun) await this.#result(result);
    else this.#life.events.result(result);
    return { reason: "exited" };
  }

  async #result(result: FlowResult): Promise<void> {
    this.#life.items.flush();
    const files = await this.#changes();
    const { tokens, state, limits } = this.#meter;
    const budget = Object.keys(limits).length === 0 ? {} : { budget: { limits, used: state.used } };
    const { diff, changedFiles } = changeArtifacts(files);
    const own = {
      threadId: this.#life.session?.threadId,
      ...budget,
      turnIds: this.#life.session?.turnIds,
      usage: tokens,
      diff,
      changedFiles,
    };
    this.#life.events.result(withOwnArtifacts(result, own));
  }

  /** In a worktree all that it has now, by git; elsewhere, where others may work too, what Codex itself has changed. */
  async #changes(): Promise<FileChange[]> {
    const { request, record, redactor, cwd } = this.#life;
    if (request.worktree === undefined) return record.files;
    const { root, base, asMade } = request.worktree;
    try {
      const changes = await changesSince(base, root, asMade);
      const named = changes.map((change) => ({ ...change, path: relative(cwd, join(root, change.path)) }));
      return redactor.value(named) as FileChange[];
    } catch (error) {
      if (!(error instanceof WorkspaceError)) throw error;
      this.#life.say(`changed files are told as Codex told them: ${error.message}`);
      return record.files;
    }
  }
}

const INTERRUPTED =
  "The attempt at this task before was cut off. Look at what is there already and go on from it. The task was:";
const GO_ON = "You were interrupted and may go on now, where you left off.";

/** A turn was interrupted for a budget that has been raised meanwhile. */
function goOn(said: NextTurn | undefined): NextTurn {
  return said === undefined
    ? { text: GO_ON, begun: () => undefined }
    : { ...said, text: `${GO_ON}\n\n${said.text}` };
}
