/**
 * A disk that takes nothing, for one process and for as long as a test says: the kernel refuses its writes to files.
 * It needs no rights but the owner's, and touches no pipe, socket or terminal.
 */
import { execFileSync } from "node:child_process";

/** From now on every write of this process to a file fails. */
export function fillDisk(pid: number): void {
  execFileSync("prlimit", ["--pid", String(pid), "--fsize=0:unlimited"]);
}

/** It takes everything again. */
export function freeDisk(pid: number): void {
  execFileSync("prlimit", ["--pid", String(pid), "--fsize=unlimited:unlimited"]);
}
