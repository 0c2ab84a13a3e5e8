/** Processes that hang: they live, and do nothing. */
import { readdirSync, readFileSync } from "node:fs";

const LOOK_AGAIN_MS = 1;
const idle = new Int32Array(new SharedArrayBuffer(4));

/**
 * Stops a process, and returns when it stands. The signal alone is only a request: until the thread that it goes to gets a
 * processor, the others work on, and may still answer. Blocks, so that nothing of the test goes on meanwhile.
 */
export function freeze(pid: number): void {
  process.kill(pid, "SIGSTOP");
  while (!stands(pid)) Atomics.wait(idle, 0, 0, LOOK_AGAIN_MS);
}

function stands(pid: number): boolean {
  return readdirSync(`/proc/${pid}/task`).every((thread) =>
    /^State:\s+[TtZX]/m.test(readFileSync(`/proc/${pid}/task/${thread}/status`, "utf8")),
  );
}
