/** What the system says of a process (Linux): resident memory, processor time, children. */
import { readdirSync, readFileSync } from "node:fs";

const TICKS_A_SECOND = 100;

export function residentMb(pid: number): number {
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return Number(kilobytes) / 1024;
}

/** Processor time that processes have had so far, milliseconds. */
export function processorMs(pids: readonly number[]): number {
  return pids.reduce((ms, pid) => {
    const fields = statOf(pid);
    return ms + ((Number(fields[11]) + Number(fields[12])) * 1000) / TICKS_A_SECOND;
  }, 0);
}

/** Processes of the runtime that this one has started. */
export function runtimePids(): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        return (
          Number(statOf(pid)[1]) === process.pid && /workerd/.test(readFileSync(`/proc/${pid}/comm`, "utf8"))
        );
      } catch {
        return false;
      }
    });
}

/** Fields of /proc/<pid>/stat behind the name, which may contain anything. */
function statOf(pid: number): string[] {
  const text = readFileSync(`/proc/${pid}/stat`, "utf8");
  return text.slice(text.lastIndexOf(")") + 2).split(" ");
}
