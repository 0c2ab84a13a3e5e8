/** Whether a runner that says hello may stay. Pure. */
import { PROTOCOL_OLDEST, PROTOCOL_VERSION, RUNNERS_PER_POOL_MAX } from "../../contract/limits.ts";
import type { Reason } from "../../contract/run-record.ts";
import type { HelloFrame } from "../../contract/runner-link.ts";

/** Why it may not; undefined when it may. */
export function unwelcome(
  { protocol, runnerId }: HelloFrame,
  pool: { name: string; runners: ReadonlyMap<string, unknown> },
): Reason | undefined {
  if (protocol < PROTOCOL_OLDEST || protocol > PROTOCOL_VERSION)
    return {
      code: "protocol",
      message: `this edge speaks protocol ${PROTOCOL_OLDEST} to ${PROTOCOL_VERSION}, the runner ${protocol}: update the older one`,
    };
  if (!pool.runners.has(runnerId) && pool.runners.size >= RUNNERS_PER_POOL_MAX)
    return {
      code: "too_many_runners",
      message: `pool ${pool.name} already knows ${RUNNERS_PER_POOL_MAX} runners`,
    };
  return undefined;
}
