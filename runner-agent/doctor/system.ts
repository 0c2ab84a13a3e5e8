/** The operating system: systemd for scopes and services, /proc for proofs, limits of files. */
import { probeScope } from "../steps/systemd-scope.ts";
import type { Check } from "./check.ts";

/** Each run has a socket, its pipes and the files of its step. */
const OPEN_FILES_WARN = 4096;

export const systemdCheck: Check = {
  name: "systemd",
  probe: async ({ environment, config }) => {
    const fault = await probeScope(environment);
    if (fault === undefined) return { state: "ok", found: "systemd-run --user makes scopes" };
    const wanted = "value" in config && config.value.executor.kind === "systemd-run";
    return {
      state: wanted ? "missing" : "warn",
      found: `${wanted ? 'executor = "systemd-run" is configured; ' : ""}${fault.message}`,
      fix: wanted
        ? 'log in with a user systemd (loginctl enable-linger), or set executor = "direct" in runner.toml'
        : 'only executor = "systemd-run" and `codex-flow runner install` need it',
    };
  },
};

export const procCheck: Check = {
  name: "processes",
  probe: ({ canRead }) =>
    canRead("/proc/self/environ")
      ? { state: "ok", found: "/proc is readable" }
      : {
          state: "warn",
          found: "no /proc: of a step's processes only the group can be seen",
          fix: "run the agent on Linux where a cancel has to be proved",
        },
};

export const openFilesCheck: Check = {
  name: "open files",
  probe: ({ openFilesLimit }) => {
    const limit = openFilesLimit();
    if (limit === undefined) return { state: "ok", found: "no limit" };
    return limit >= OPEN_FILES_WARN
      ? { state: "ok", found: `up to ${limit}` }
      : {
          state: "warn",
          found: `up to ${limit}, fewer than ${OPEN_FILES_WARN}`,
          fix: `ulimit -n ${OPEN_FILES_WARN} before the start, or LimitNOFILE= in the unit`,
        };
  },
};

const INIT_PROGRAMS = /(^|\/)(docker-init|tini|catatonit|dumb-init|init|systemd)$/;

/** Ended processes without a parent become children of PID 1, and only an init program takes them off the process table. */
export const initCheck: Check = {
  name: "init",
  probe: async ({ run }) => {
    const { exitCode, stdout } = await run("cat", ["/proc/1/cmdline"]);
    // An init program has the agent's command line among its own arguments.
    const isAgent = stdout.includes("codex-flow") && !INIT_PROGRAMS.test(stdout.split("\0")[0] ?? "");
    if (exitCode !== 0 || !isAgent) return { state: "ok", found: "PID 1 is another program than the agent" };
    return {
      state: "warn",
      found: "codex-flow is PID 1: ended processes that steps leave stay as zombies",
      fix: "start the container with an init program: docker run --init, or init: true in compose.yaml",
    };
  },
};
