/** Why a queued run waits. That is known where it waits: in its pool; a relayed session waits in none. */
import { RELAY_FLOW } from "../../contract/relay.ts";
import type { RunView } from "../../contract/run-view.ts";
import type { Env } from "../../worker/env.ts";

type Waiting = NonNullable<RunView["waiting"]>;
type Queued = Pick<RunView, "id" | "pool" | "runner">;

export async function whyWaiting(env: Pick<Env, "POOLS">, { id, pool, runner }: Queued): Promise<Waiting> {
  if (runner === RELAY_FLOW)
    return { code: "relay_not_connected", message: "waits for the relay that began it" };
  return (await env.POOLS.getByName(pool).waitingReason(id)) ?? onItsWay(pool);
}

/** Its pool has not heard of it, or does not answer. */
export function onItsWay(pool: string): Waiting {
  return { code: "on_its_way", message: `on its way to pool ${pool}` };
}
