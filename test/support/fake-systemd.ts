/** A user's systemd for tests: fake programs on the PATH, and a runtime folder in which a bus seems to listen. */
import { accessSync, constants, existsSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { temporaryFolder } from "./flow-workspace.ts";

const PROGRAMS = fileURLToPath(new URL("./fake-systemd", import.meta.url));
const CGROUPS = "/sys/fs/cgroup/pids";

/** Whether this box lets a test make cgroups, as systemd would. */
export const CGROUPS_WRITABLE = ((): boolean => {
  try {
    accessSync(CGROUPS, constants.W_OK);
    return existsSync(`${CGROUPS}/cgroup.procs`);
  } catch {
    return false;
  }
})();

export interface FakeSystemd {
  /** PATH and XDG_RUNTIME_DIR of a box that has it. */
  environment: { PATH: string; XDG_RUNTIME_DIR: string };
  /** Command lines of the fake programs, without their names. */
  calls(): string[];
  /** From now on nobody answers. */
  down(): void;
}

export async function fakeSystemd(): Promise<FakeSystemd> {
  const runtime = await temporaryFolder();
  writeFileSync(join(runtime, "bus"), "");
  const calls = join(runtime, "calls");
  return {
    environment: { PATH: `${PROGRAMS}:${process.env["PATH"] ?? ""}`, XDG_RUNTIME_DIR: runtime },
    calls: () => (existsSync(calls) ? readFileSync(calls, "utf8").trimEnd().split("\n") : []),
    down: () => {
      writeFileSync(join(runtime, "down"), "");
    },
  };
}

/** Removes the cgroup of a scope, as systemd does when it is empty (`--collect`). */
export function collectScope(unit: string): void {
  if (existsSync(`${CGROUPS}/${unit}.scope`)) rmdirSync(`${CGROUPS}/${unit}.scope`);
}
