/** Greets slowly, so that whoever follows the run sees its output arrive line by line. */
import { setTimeout as pause } from "node:timers/promises";

const PAUSE_MS = 300;

interface StepContext {
  flow: { event: { id: string; payload: { name: string } } };
}

/** The run's result: `completed` with the greeting. */
export default async function greet({ flow }: StepContext) {
  const { id, payload } = flow.event;
  for (const line of [`event ${id}`, `looking for ${payload.name}`, `found ${payload.name}`]) {
    console.log(line);
    await pause(PAUSE_MS);
  }
  return { status: "completed", message: `hello ${payload.name}` };
}
