/** What really lives on this box, whatever anybody claims. */
import { readdirSync, readFileSync } from "node:fs";

/** Pids of processes whose file in /proc (`environ`, `cmdline`) contains a text. */
export function processesWith(file: "environ" | "cmdline", text: string): string[] {
  return readdirSync("/proc").filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/${file}`, "latin1").includes(text);
    } catch {
      return false;
    }
  });
}

/** Pids of processes that bear a run's id in their environment. */
export function processesOfRun(runId: string): string[] {
  return processesWith("environ", `CODEX_FLOW_RUN_ID=${runId}`);
}
