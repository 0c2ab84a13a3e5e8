/**
 * For `afterAll`: nothing of a file may still be at work when vitest takes its Worker down. What the queue carries
 * arrives before the last message does; then every object goes, with its alarm.
 */
import { reset } from "cloudflare:test";
import { startRun, untilWaiting } from "./api.ts";
import { deployStep } from "./flow-catalog.ts";
import { closeSockets } from "./socket.ts";

export async function endObjects(): Promise<void> {
  await closeSockets();
  const last = deployStep();
  await untilWaiting(last.pool, (await startRun(last.type)).runId);
  await reset();
}
