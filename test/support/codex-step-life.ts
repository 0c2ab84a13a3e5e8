/** A codex or code-mode step over the real Codex behind a fake model, with whoever answers it in the test's own hands. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import type { AgentItem } from "../../contract/agent-item.ts";
import type { ApprovalRequest } from "../../contract/approvals.ts";
import type { Budget, BudgetUse } from "../../contract/budget.ts";
import type { FlowStep } from "../../contract/flow-manifest.ts";
import type { FlowResult } from "../../contract/flow-result.ts";
import type { AttemptEnd } from "../../contract/run-record.ts";
import { codexOnBox, type CodexOnBox } from "../../runner-agent/codex/codex-host.ts";
import { codeModeStarter } from "../../runner-agent/codex/code-mode/code-mode-step.ts";
import { codexStarter } from "../../runner-agent/codex/step/codex-step.ts";
import { codexConfig, type CodexConfig } from "../../runner-agent/config/codex-config.ts";
import type { Secret } from "../../runner-agent/config/step-environment.ts";
import type { Decision, Message, StepConversation, ThreadLease } from "../../runner-agent/conversation.ts";
import type { StepClocks } from "../../runner-agent/steps/clocks.ts";
import type { RunningStep, StepRequest } from "../../runner-agent/steps/step.ts";
import { checkout, fakeModel, folder } from "./codex.ts";
import { fakeModelConfig, writeModelCatalog } from "./fake-model/codex-home.ts";
import type { FakeModel, Rule } from "./fake-model/fake-model.ts";
import { Signal } from "./signal.ts";

/** A box with Codex on it, for several steps. */
export interface CodexBox {
  box: CodexOnBox;
  model: FakeModel;
  /** Of the runner: sessions and Codex's own files. */
  home: string;
  /** Where the steps work. */
  cwd: string;
}

/**
 * @param more of the runner's configuration; `environment` is added to the agent's own, `raw`: folder of raw logs, `configFile`:
 *     where that would stand
 */
export async function codexBox(
  rules: Rule[],
  {
    environment,
    raw,
    configFile,
    ...more
  }: Partial<CodexConfig> & { environment?: Record<string, string>; raw?: string; configFile?: string } = {},
): Promise<CodexBox> {
  const model = await fakeModel(rules);
  const directory = folder("codex-box");
  const home = join(directory, "home");
  const config = { ...fakeModelConfig(model.url, writeModelCatalog(directory)), ...more.config };
  const box = codexOnBox({
    config: { ...codexConfig(), home, ...more, config },
    environment: {
      ...{ PATH: process.env["PATH"], HOME: directory, CODEX_HOME: join(directory, "of-the-user") },
      ...environment,
    },
    runnerId: "runner_of_the_test",
    version: "0.0.0",
    raw,
    configFile,
  });
  onTestFinished(() => box.stop());
  return { box, model, home, cwd: checkout() };
}

/** The people and the edge, as a step sees them. */
class Watchers implements StepConversation {
  readonly asked: ApprovalRequest[] = [];
  readonly leased: string[] = [];
  /** What the step has told of its own use, in its order. */
  readonly used: BudgetUse[] = [];
  lease: ThreadLease | Promise<ThreadLease> = { granted: true };
  answer: (request: ApprovalRequest) => Decision | Promise<Decision> = () => ({
    decision: "decline",
    by: "the test",
  });
  #hear: ((message: Message) => Promise<"steered" | "queued">) | undefined;
  #raise: ((budget: Budget) => void) | undefined;
  readonly #signal: Signal;

  constructor(signal: Signal) {
    this.#signal = signal;
  }

  async ask(request: ApprovalRequest, withdrawn: AbortSignal): Promise<Decision> {
    this.asked.push(request);
    this.#signal.notify();
    const gone = new Promise<Decision>((resolve) => {
      withdrawn.addEventListener("abort", () => {
        resolve({ decision: "cancel", by: "the step" });
      });
    });
    return await Promise.race([this.answer(request), gone]);
  }

  leaseThread(threadId: string): Promise<ThreadLease> {
    this.leased.push(threadId);
    this.#signal.notify();
    return Promise.resolve(this.lease);
  }

  onMessage(listener: (message: Message) => Promise<"steered" | "queued">): void {
    this.#hear = listener;
  }

  onBudget(listener: (budget: Budget) => void): void {
    this.#raise = listener;
  }

  tellUse(used: BudgetUse): void {
    this.used.push(used);
    this.#signal.notify();
  }

  async say(text: string): Promise<"steered" | "queued"> {
    if (this.#hear === undefined) throw new Error("the step does not listen");
    return await this.#hear({ id: "m1", text, by: "Ada" });
  }

  raise(budget: Budget): void {
    this.#raise?.(budget);
  }
}

export interface CodexLife extends CodexBox {
  runId: string;
  step: RunningStep;
  watchers: Watchers;
  results: FlowResult[];
  items: AgentItem[];
  /** Everything that left the step, as one text. */
  told: string[];
  survivors: number[][];
  until(isSo: () => boolean): Promise<void>;
}

const STARTERS = { codex: codexStarter, "code-mode": codeModeStarter };

export interface CodexStepOptions {
  /** Text of the step's script: a prompt, or JavaScript for code mode. */
  template: string;
  runner?: keyof typeof STARTERS;
  step?: Partial<FlowStep>;
  request?: Partial<StepRequest>;
  payload?: unknown;
  secrets?: Secret[];
  clocks?: Partial<StepClocks>;
  variables?: Record<string, string>;
  watchers?(watchers: Watchers): void;
}

let runs = 0;

export async function startCodexStep(at: CodexBox, options: CodexStepOptions): Promise<CodexLife> {
  runs += 1;
  // Taken before anything is awaited: steps that start at once are different runs.
  const number = runs;
  const runId = `run_codextest${process.pid}_${number}`;
  const { runner = "codex" } = options;
  const file = `step-${number}.${runner === "codex" ? "md" : "js"}`;
  await writeFile(join(at.cwd, file), options.template);
  const signal = new Signal();
  const watchers = new Watchers(signal);
  options.watchers?.(watchers);
  const life: Omit<CodexLife, "step"> = {
    ...at,
    runId,
    watchers,
    results: [],
    items: [],
    told: [],
    survivors: [],
    until: (isSo) => signal.until(isSo),
  };
  const step = STARTERS[runner](at.box)(
    {
      runId,
      attempt: 1,
      flow: { name: "review", version: 1, root: at.cwd },
      step: {
        name: "look",
        runner,
        script: file,
        pool: "default",
        labels: [],
        priority: 0,
        timeoutMs: 60_000,
        silenceMs: 60_000,
        queueMs: 60_000,
        retry: { attempts: 1, on: [], backoffMs: 1 },
        ...options.step,
      },
      event: { id: "e:1", type: "t", receivedAt: "2026-01-01T00:00:00Z", payload: options.payload ?? {} },
      replay: false,
      edgeUrl: "http://127.0.0.1:1",
      env: {
        variables: { PATH: process.env["PATH"] ?? "", ...options.variables },
        secrets: options.secrets ?? [],
      },
      conversation: watchers,
      ...options.request,
    },
    {
      output: (stream, text) => {
        life.told.push(text);
        if (stream === "agent") life.items.push(JSON.parse(text) as AgentItem);
        signal.notify();
      },
      result: (result) => {
        life.results.push(result);
        life.told.push(JSON.stringify(result));
        signal.notify();
      },
      signalled: (pids) => life.survivors.push(pids),
    },
    { resultGraceMs: 500, killGraceMs: 1_000, killProofMs: 5_000, drainMs: 100, ...options.clocks },
  );
  onTestFinished(async () => {
    step.cancel("abandoned");
    await step.ended;
  });
  return { ...life, step };
}

/** A step to its end. */
export async function runCodexStep(
  at: CodexBox,
  options: CodexStepOptions,
): Promise<CodexLife & { end: AttemptEnd }> {
  const life = await startCodexStep(at, options);
  return { ...life, end: await life.step.ended };
}
