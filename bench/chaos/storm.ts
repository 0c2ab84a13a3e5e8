/**
 * The course of a run of chaos: rounds of sending and breaking that flow into one another, then the wait until all is
 * over, then the audit.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { RunView } from "../../contract/run-view.ts";
import { audit, type Finding, type SentEvent } from "./audit.ts";
import { Deployment } from "./deployment.ts";
import { gatherEvents, knownEvents, processesOf } from "./evidence.ts";
import { ROUND_MS, type Round } from "./plan.ts";
import { sendEvent } from "./sender.ts";
import { writeWorkload, type Workload } from "./workload.ts";

/** After the last round: a runner that is declared lost, and a queue message that is sent again, take a minute each. */
const SETTLE_MAX_MS = 240_000;
const SLOWEST_SHOWN = 10;

export interface Outcome {
  events: number;
  runs: number;
  attempts: number;
  /** Attempts that a fault has ended. Without any, nothing was shown. */
  broken: number;
  findings: Finding[];
  /** Where time went: the runs that took longest from their creation to their end. */
  slowest: SlowRun[];
}

interface SlowRun {
  id: string;
  flow: string;
  seconds: number;
  /** Each with its runner, and when it began, in seconds after the run's creation. */
  attempts: string[];
}

/** What a storm tells while it goes on. */
export interface StormEvents {
  roundBegins(round: Round, number: number): void;
  /** All rounds are over; what they began is waited for. */
  settles(): void;
}

/** Returns undefined when it was stopped. Everything that was started has ended by then. */
export async function storm(
  plan: Round[],
  folder: string,
  stop: Promise<undefined>,
  events: StormEvents,
): Promise<Outcome | undefined> {
  const workload = await writeWorkload(folder);
  const deployment = await Deployment.start(folder, workload);
  try {
    return await Promise.race([stop, rage(plan, deployment, workload, events)]);
  } finally {
    await deployment.stop();
  }
}

async function rage(
  plan: Round[],
  deployment: Deployment,
  workload: Workload,
  events: StormEvents,
): Promise<Outcome> {
  const sending: Promise<SentEvent>[] = [];
  for (const [n, round] of plan.entries()) {
    events.roundBegins(round, n + 1);
    for (const event of round.events) {
      const answered = sendEvent(() => deployment.client(), event);
      const sent = answered.then((answers) => ({ ...event, answers }));
      // Looked at when all rounds are over; until then a refusal is nobody's unhandled rejection.
      sent.catch(() => undefined);
      sending.push(sent);
    }
    await Promise.all([
      sleep(ROUND_MS),
      ...round.faults.map(async (fault) => {
        await sleep(fault.atMs);
        await deployment.perform(fault);
      }),
    ]);
  }
  events.settles();
  return judge(await Promise.all(sending), deployment, workload);
}

async function judge(sent: SentEvent[], deployment: Deployment, workload: Workload): Promise<Outcome> {
  const client = deployment.client();
  const kept = await gatherEvents(
    client,
    sent.map(({ id }) => id),
    SETTLE_MAX_MS,
  );
  const next = sent.flatMap(({ payload }) => (payload.next ?? []).map(({ id }) => id));
  // Those whose parent failed must not be there: they are looked for, and not waited for.
  const chained = await gatherEvents(client, await knownEvents(client, next), SETTLE_MAX_MS);
  for (const [id, event] of chained) kept.set(id, event);
  const runs = [...kept.values()].flatMap((event) => event.runs);
  const findings = audit({
    sent,
    kept,
    marks: await workload.marks(),
    deeds: deployment.deeds,
    processes: await processesOf(new Set(runs.map(({ id }) => id))),
  });
  const attempts = runs.flatMap((run) => run.attempts);
  const broken = attempts.filter(({ status }) => status !== "completed").length;
  const slowest = runs
    .map(slowness)
    .sort((a, b) => b.seconds - a.seconds)
    .slice(0, SLOWEST_SHOWN);
  return { events: kept.size, runs: runs.length, attempts: attempts.length, broken, findings, slowest };
}

function slowness({ id, flowName, createdAt, completedAt, attempts }: RunView): SlowRun {
  const after = (time: string): number => (Date.parse(time) - Date.parse(createdAt)) / 1000;
  return {
    id,
    flow: flowName,
    seconds: completedAt === undefined ? Infinity : after(completedAt),
    attempts: attempts.map(
      ({ status, runnerName, startedAt, error }) =>
        `${status} on ${runnerName} from ${after(startedAt)} s ${error ?? ""}`,
    ),
  };
}
