/**
 * The runner kind `code-mode`: a saved script that Codex itself runs, with its tools, its sandbox and its approvals, and
 * without a model. By `thread/codeMode/execute` where this Codex has it, else by a provider of our own that answers the
 * turn with the script (script-provider.ts). Its life from a server to the proof that nothing is left: step-life.ts.
 *
 * M1. What the script prints is its standard output. `result` prints the result behind a marker that only this attempt
 *     has, so that no text from elsewhere can pass for one; it is sent at once, and gives the script the same time to go
 *     as any step (invariant 9). Where the manifest says result = "anywhere", each FLOW_RESULT counts instead.
 * M2. A script that throws has failed, whatever it printed, as a process that exits with another code than 0.
 * M3. The thread is a new one each time: a script begins at its beginning.
 * M4. Of a budget only the seconds are counted, over all attempts: nothing else is used. What interrupts a script leaves no
 *     thread to go on in.
 */
import type { AgentItem } from "../../../contract/agent-item.ts";
import { budgetAmount, type Budget, type BudgetUse } from "../../../contract/budget.ts";
import { Countdown } from "../../steps/clocks.ts";
import { withOwnArtifacts } from "../../steps/own-artifacts.ts";
import { refusedStep } from "../../steps/refused-step.ts";
import { resultRule } from "../../steps/result-reader.ts";
import type { StepStarter } from "../../steps/step.ts";
import { StepOutput } from "../../steps/step-output.ts";
import type { CodexHost } from "../codex-host.ts";
import type { ServerLease } from "../shared-server.ts";
import { BudgetMeter } from "../step/budget-meter.ts";
import { BudgetWatch } from "../step/budget-watch.ts";
import { StepLife, type StepWork } from "../step/step-life.ts";
import { StepPlanError } from "../step/step-plan.ts";
import { turnFailed, turnInterrupted, type Stop } from "../step/step-stop.ts";
import { openThread } from "../step/open-thread.ts";
import type { ThreadSession, TurnOutcome } from "../step/thread-session.ts";
import type { CellReport } from "./cell-report.ts";
import { unlessStopped } from "../../unless-stopped.ts";
import { executesScripts } from "./fork.ts";
import { planScript, withOwnLines, type ScriptPlan } from "./saved-script.ts";
import { SCRIPT_MODEL, SCRIPT_MODEL_CATALOG, ScriptProvider } from "./script-provider.ts";

/** Of the source: what defines `flow` and `result`. Codex takes the line before it, with its options, away. */
const PRELUDE_LINES = 1;

export function codeModeStarter(host: CodexHost): StepStarter {
  return (request, events, clocks) => {
    try {
      const plan = planScript(request, host.rules);
      return new StepLife(
        { host, place: plan, request, events, clocks },
        (life) => new ScriptWork(life, plan),
      );
    } catch (error) {
      if (error instanceof StepPlanError) return refusedStep({ code: error.code, message: error.message });
      throw error;
    }
  };
}

/** M4 */
function secondsOf(of: Budget | BudgetUse | undefined): { seconds?: number } {
  return of?.seconds === undefined ? {} : { seconds: of.seconds };
}

class ScriptWork implements StepWork {
  readonly #life: StepLife;
  readonly #plan: ScriptPlan;
  readonly #output: StepOutput;
  readonly #grace: Countdown;
  readonly #meter: BudgetMeter;
  readonly #budget: BudgetWatch;
  #provider: ScriptProvider | undefined;
  /** What the script prints stands in the items already. */
  #native = false;
  /** What is wrong with the last FLOW_RESULT line; absent while that one is valid, or there is none. */
  #invalid: string | undefined;

  constructor(life: StepLife, plan: ScriptPlan) {
    this.#life = life;
    this.#plan = plan;
    this.#grace = new Countdown(life.clocks.resultGraceMs, () => {
      life.halt("reaped");
    });
    const { budget, used } = life.request;
    this.#meter = new BudgetMeter({ limits: secondsOf(budget), before: secondsOf(used) });
    this.#budget = new BudgetWatch(this.#meter, {
      warn: (unit, text) => {
        life.items.add({ type: "warning", id: `budget ${unit}`, state: "completed", text, code: "budget" });
      },
      spent: () => {
        void life.session?.interrupt();
      },
      used: (own) => life.request.conversation?.tellUse(secondsOf(own)),
    });
    const rule = { ...resultRule(life.request.step), marker: plan.marker };
    this.#output = new StepOutput(life.redactor, rule, {
      output: (stream, text) => {
        if (!this.#native) life.events.output(stream, text);
      },
      result: (result) => {
        life.items.flush();
        life.events.result(withOwnArtifacts(result, { threadId: life.session?.threadId }));
        this.#resultSeen(undefined);
      },
      invalid: (message) => {
        this.#resultSeen(message);
      },
    });
  }

  async work(lease: ServerLease): Promise<Stop> {
    const { host, request } = this.#life;
    const { sandbox } = this.#plan.settings;
    request.conversation?.onBudget((budget) => {
      this.#budget.raise(secondsOf(budget));
    });
    const asked = Promise.all([
      executesScripts(lease.server),
      host.fit(lease.server, { sandbox, model: false }),
    ]);
    const [native] = await unlessStopped(asked, this.#life.stopped);
    this.#native = native;
    return native ? await this.#byFork(lease) : await this.#byProvider(lease);
  }

  /** Nothing is paid for, and each look at a script that goes on says so: that is no sign of life. */
  sift(items: AgentItem[]): AgentItem[] {
    return items.filter(({ type }) => type !== "usage");
  }

  async ended(stop: Stop): Promise<Stop> {
    this.#grace.stop();
    await this.#provider?.stop();
    this.#output.end();
    const counts = stop.error === undefined && (stop.reason === "exited" || stop.reason === "reaped");
    return counts && this.#invalid !== undefined
      ? { ...stop, error: { code: "invalid_result", message: this.#invalid } }
      : stop;
  }

  async #byFork(lease: ServerLease): Promise<Stop> {
    const { request } = this.#life;
    const session = await this.#open(lease);
    return await this.#outcome(async () => {
      const outcome = await session.execute(this.#plan.source, request.step.timeoutMs);
      if (outcome.kind === "completed") for (const text of outcome.messages) this.#print("stdout", text);
      return outcome;
    });
  }

  async #byProvider(lease: ServerLease): Promise<Stop> {
    const provider = await ScriptProvider.start({
      source: this.#plan.source,
      told: (report) => {
        this.#told(report);
      },
    });
    this.#provider = provider;
    const catalog = this.#life.host.keep("script-model.json", JSON.stringify(SCRIPT_MODEL_CATALOG));
    const session = await this.#open(lease, provider.config(catalog));
    const stop = await this.#outcome(() => session.turn({ text: `The saved script ${this.#plan.name}` }));
    const failure = provider.end === undefined ? "Codex has not run it" : provider.end.failure;
    if (failure === undefined || stop.reason !== "exited") return stop;
    const message = `${this.#plan.name} failed: ${this.#life.redactor.text(this.#named(failure))}`;
    return { reason: "reaped", error: { code: "script_failed", message } };
  }

  async #open(lease: ServerLease, provider?: ReturnType<ScriptProvider["config"]>): Promise<ThreadSession> {
    const { cwd, variables, request } = this.#life;
    const settings =
      provider === undefined ? this.#plan.settings : { ...this.#plan.settings, model: SCRIPT_MODEL };
    const config = { ...this.#life.config, ...provider };
    const options = { settings, cwd, variables, config, stopped: this.#life.stopped };
    const { threadId } = await openThread(lease, { kind: "new" }, options);
    await lease.claim(threadId, request.runId);
    // Nobody else can know it: told so that others hear of its writer.
    void request.conversation?.leaseThread(threadId);
    return this.#life.enter(threadId, settings);
  }

  /** The turn, unless the step has to end by now. */
  async #outcome(turn: () => Promise<TurnOutcome>): Promise<Stop> {
    const before = this.#life.stop;
    if (before !== undefined) return before;
    const { exceeded } = this.#meter.state;
    if (exceeded !== undefined) return this.#overBudget("the script was not begun again");
    this.#budget.turnStarted();
    const outcome = await turn().finally(() => {
      this.#budget.turnEnded();
    });
    const after = this.#life.stop;
    if (after !== undefined) return after;
    if (outcome.kind === "failed") return turnFailed(outcome);
    if (outcome.kind !== "interrupted") return { reason: "exited" };
    return this.#meter.state.exceeded === undefined
      ? turnInterrupted(this.#life.canceledBy)
      : this.#overBudget("the script was interrupted");
  }

  /** A script that has told its result by then has done what it was to do. */
  #overBudget(what: string): Stop {
    if (this.#grace.running && this.#invalid === undefined) return { reason: "reaped" };
    const { limits, state } = this.#meter;
    this.#life.items.flush();
    this.#life.events.result({
      status: "needs_intervention",
      message: `${what}: its budget of ${budgetAmount(limits.seconds ?? 0)} seconds is used up. Replayed, it begins at its beginning: raise seconds in its flow.toml first`,
      artifacts: { budget: { limits, used: { seconds: state.used.seconds }, exceeded: "seconds" } },
    });
    return { reason: "reaped" };
  }

  #told({ texts, error }: CellReport): void {
    if (texts.length > 0) this.#life.restartSilence();
    for (const text of texts) this.#print("stdout", text);
    if (error !== undefined) this.#print("stderr", this.#named(error));
  }

  /** Each text is a line at least. */
  #print(stream: "stdout" | "stderr", text: string): void {
    this.#output.write(stream, Buffer.from(text.endsWith("\n") ? text : `${text}\n`));
  }

  #named(error: string): string {
    return withOwnLines(error, this.#plan.name, PRELUDE_LINES);
  }

  /** The grace counts from the last line, valid or not. */
  #resultSeen(invalid: string | undefined): void {
    this.#invalid = invalid;
    if (this.#life.stop !== undefined || (invalid !== undefined && !this.#grace.running)) return;
    this.#life.stopSilence();
    this.#grace.start();
  }
}
