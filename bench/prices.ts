/**
 * Cloudflare's list prices, paid plan, without the monthly allotments: dollars a unit. Read on its pages "Workers
 * pricing", "Durable Objects pricing", "Queues pricing" and "Workers Logs pricing" in November 2026.
 */

const MILLION = 1e6;

export const DOLLARS = {
  workerRequest: 0.3 / MILLION,
  workerMillisecond: 0.02 / MILLION,
  /** HTTP request, RPC call, alarm; of incoming socket messages twenty are one. */
  objectRequest: 0.15 / MILLION,
  gigabyteSecond: 12.5 / MILLION,
  rowRead: 0.001 / MILLION,
  /** `setAlarm` and deletes too. */
  rowWritten: 1 / MILLION,
  /** A GB for 30 days. */
  gigabyteMonth: 0.2,
  queueOperation: 0.4 / MILLION,
  /** One an invocation, of the share that is sampled. */
  logEvent: 0.6 / MILLION,
} as const;

export const MESSAGES_PER_REQUEST = 20;
/** An object is billed as if it had all of its 128 MB. */
export const OBJECT_GIGABYTES = 0.128;
