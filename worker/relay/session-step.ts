/**
 * The step that a relayed session is a run of. It belongs to no deployed package: whatever is deployed, and on whichever
 * box the relay is, it is the same. It waits in no pool (contract/run-record, `isPooled`) and is never tried again: only
 * the relay that began it has the agent.
 */
import { RELAY_CLAIM_MS } from "../../contract/limits.ts";
import { RELAY_FLOW, RELAY_STEP, type RelaySessionRequest } from "../../contract/relay.ts";
import type { MatchedStep } from "../../durable-objects/flow-event/calls.ts";

export function sessionStep({
  timeoutMs,
  silenceMs,
  listens = false,
}: Pick<RelaySessionRequest, "timeoutMs" | "silenceMs" | "listens">): MatchedStep {
  return {
    flow: { name: RELAY_FLOW, version: 1, digest: "built-in" },
    step: {
      name: RELAY_STEP,
      runner: "relay",
      script: "",
      pool: RELAY_FLOW,
      labels: [],
      priority: 0,
      timeoutMs,
      silenceMs,
      queueMs: RELAY_CLAIM_MS,
      retry: { attempts: 1, on: [], backoffMs: 0 },
      listens,
    },
  };
}
