/**
 * Which process works on a run, and whether it still lives: what tells a run in progress from one that a `kill -9`
 * has left behind. A process is its pid and the time of its start, on one boot of one host.
 */
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { execFileSync } from "node:child_process";
import { ENVIRONMENTS_VISIBLE, processStart } from "../steps/process-tree.ts";

export interface Owner {
  pid: number;
  host: string;
  /** Absent where the system does not say. */
  boot?: string;
  started: string;
}

let own: Owner | undefined;

/** This process, as it stands in the runs that it works on. */
export function thisProcess(): Owner {
  if (own !== undefined) return own;
  const boot = bootId();
  own = {
    pid: process.pid,
    host: hostname(),
    ...(boot === undefined ? {} : { boot }),
    started: startOf(process.pid) ?? "",
  };
  return own;
}

/** Whether the process is gone for certain; "unknown" when it belongs to another host (or container). */
export function isGone(owner: Owner): boolean | "unknown" {
  if (owner.host !== hostname()) return "unknown";
  return owner.boot !== bootId() || startOf(owner.pid) !== owner.started;
}

function startOf(pid: number): string | undefined {
  if (ENVIRONMENTS_VISIBLE) return processStart(pid);
  try {
    return execFileSync("ps", ["-o", "lstart=", "-p", String(pid)], { encoding: "utf8" }).trim();
  } catch {
    return undefined;
  }
}

function bootId(): string | undefined {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    return undefined;
  }
}
