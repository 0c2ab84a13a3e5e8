/**
 * A runner agent in this process whose steps run nothing, but do what the bench says: two cores do not carry tens of
 * processes beside the edge. All else is the product's own: agent, journal, both kinds of sockets, and with them the pace
 * and the order of what reaches the edge.
 */
import { join } from "node:path";
import type { AttemptEnd } from "../contract/run-record.ts";
import { FlowCheckout } from "../runner-agent/checkout.ts";
import { runnerIdentity } from "../runner-agent/journal/identity.ts";
import { Journal } from "../runner-agent/journal/journal.ts";
import { Runner } from "../runner-agent/runner.ts";
import type { StartStep } from "../runner-agent/steps/start-step.ts";
import type { RunningStep } from "../runner-agent/steps/step.ts";
import { Workspaces } from "../runner-agent/workspace/workspaces.ts";
import type { EdgeServer } from "./servers.ts";

/** How a step ends that has done what it should. */
export const EXITED: AttemptEnd = {
  reason: "exited",
  exit: { code: 0, signal: null },
  tree: { empty: true, survivors: [] },
};

export interface StepRunner {
  /** Abandons the steps that are still under way; over when the edge has heard of it. */
  stop(): Promise<void>;
}

/** @param name on cards, and on nothing else that a chat is told */
export async function startStepRunner(
  { url, secrets, workspace }: EdgeServer,
  { name, capacity, startStep }: { name: string; capacity: number; startStep: StartStep },
): Promise<StepRunner> {
  const journal = new Journal(join(workspace, "journal", "journal.sqlite"));
  const { runnerId, key } = runnerIdentity(journal);
  const underWay = new Set<RunningStep>();
  const runner = new Runner({
    host: {
      edgeUrl: url,
      linkUrl: url.replace(/^http/, "ws"),
      token: secrets.tokens.runner,
      runnerId,
      runnerName: name,
      journal,
      log: () => undefined,
      executor: { kind: "direct" },
      environment: { variables: {}, secrets: [] },
      startStep: (request, events, clocks) => {
        const step = startStep(request, events, clocks);
        underWay.add(step);
        void step.ended.then(() => underWay.delete(step));
        return step;
      },
      workspaces: new Workspaces({
        workspace,
        runnerId,
        repositories: {},
        projects: {},
        quota: { max: 1, maxGb: 1 },
      }),
    },
    identity: {
      runnerId,
      key,
      process: crypto.randomUUID(),
      name,
      version: "0.0.0",
      labels: [],
      capacity,
    },
    pool: "default",
    checkout: await FlowCheckout.open(workspace),
    prepare: () => undefined,
  });
  await runner.start();
  return {
    stop: async () => {
      for (const step of underWay) step.cancel("abandoned");
      runner.drain();
      await runner.finished;
      journal.close();
    },
  };
}
