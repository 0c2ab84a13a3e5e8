/** Whether a runner that says hello is admitted. Pure. */
import { createHash } from "node:crypto";
import { PROTOCOL_OLDEST, PROTOCOL_VERSION, RUNNERS_PER_POOL_MAX } from "../../contract/limits.ts";
import type { Reason } from "../../contract/run-record.ts";
import { JOURNAL_COPIED, type HelloFrame } from "../../contract/runner-link.ts";

/** From this protocol on, a runner proves who it is. */
const PROTOCOL_WITH_KEYS = 2;
/** Running agents of one journal that are remembered as replaced: more than anybody copies a machine by mistake. */
const REPLACED_PROCESSES_KEPT = 8;

/** What a pool stores of a runner's key. */
export function keyHash(key: string): string {
  return createHash("sha256").update(key).digest("base64url");
}

export interface AdmissionState {
  name: string;
  runners: ReadonlyMap<string, unknown>;
  /** Hash of the key that the runner's id is bound to. */
  boundKey: string | undefined;
}

/** Why a runner is refused; undefined when it is admitted. */
export function unwelcome(
  { protocol, runnerId, key, process }: HelloFrame,
  pool: AdmissionState,
): Reason | undefined {
  if (protocol < PROTOCOL_OLDEST || protocol > PROTOCOL_VERSION)
    return {
      code: "protocol",
      message: `this edge speaks protocol ${PROTOCOL_OLDEST} to ${PROTOCOL_VERSION}, the runner ${protocol}: update the older one`,
    };
  if (protocol >= PROTOCOL_WITH_KEYS && (key === undefined || process === undefined))
    return {
      code: "bad_frame",
      message: `a hello of protocol ${protocol} needs key and process: update the agent`,
    };
  if (pool.boundKey !== undefined && (key === undefined || keyHash(key) !== pool.boundKey))
    return {
      code: "runner_key",
      message: `runner id ${runnerId} belongs to another key: ${
        key === undefined
          ? "this agent is older than the one that had the id, so update it"
          : "this journal is not the one that the id was made with"
      }, or start the agent with a new --journal, which makes a new id`,
    };
  if (!pool.runners.has(runnerId) && pool.runners.size >= RUNNERS_PER_POOL_MAX)
    return {
      code: "too_many_runners",
      message: `pool ${pool.name} already knows ${RUNNERS_PER_POOL_MAX} runners`,
    };
  return undefined;
}

/** The running agents that have had one runner id: the newest, and those that it has replaced. */
export interface AgentProcesses {
  process?: string | undefined;
  replacedProcesses?: string[] | undefined;
}

/**
 * The agents of a runner after a hello, or `copied`: an agent that was replaced says hello again while the one that
 * replaced it is connected. Both run, so that their machines have copies of one journal. A restart is no such case,
 * because its former process never comes back.
 */
export function nextProcess(
  { process }: Pick<HelloFrame, "process">,
  before: AgentProcesses | undefined,
  isOtherConnected: boolean,
): AgentProcesses | "copied" {
  const { process: current, replacedProcesses: replaced = [] } = before ?? {};
  if (process === undefined || current === undefined || process === current)
    return { process, replacedProcesses: replaced };
  if (replaced.includes(process) && isOtherConnected) return "copied";
  const others = [...replaced.filter((one) => one !== process), current];
  return { process, replacedProcesses: others.slice(-REPLACED_PROCESSES_KEPT) };
}

/** What an agent is told whose journal another running agent has, too. */
export function copiedJournal(runnerId: string): Reason {
  return {
    code: JOURNAL_COPIED,
    message: `another running agent has this journal's id ${runnerId}: one of the two machines is a copy of the other. Start one of them with a new --journal`,
  };
}
