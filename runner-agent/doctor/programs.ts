/** The programs that steps are run by, or are likely to need; Codex has a file of its own. */
import { missingVersion } from "./versions.ts";
import type { Box, Check, Finding, ProgramAnswer } from "./check.ts";

/** Reads TypeScript by itself, and has node:sqlite without a flag. */
const NODE_MIN_VERSION = "22.18.0";
const VERSION = /\d+\.\d+\.\d+\S*/;

export const nodeCheck: Check = {
  name: "node",
  probe: ({ nodeVersion }) =>
    missingVersion(nodeVersion, NODE_MIN_VERSION)
      ? {
          state: "missing",
          found: `${nodeVersion}; ${NODE_MIN_VERSION} or newer is needed`,
          fix: "install a newer Node, or run npm install in the project so that its own Node is there",
        }
      : { state: "ok", found: nodeVersion },
};

export const bunCheck: Check = {
  name: "bun",
  probe: async (box) => {
    const answer = await ask(box, box.programs.bun, ["--version"]);
    const works =
      answer.exitCode === 0 ? await ask(box, box.programs.bun, ["-e", "process.exit(7)"]) : answer;
    if (works.exitCode === 7) return { state: "ok", found: versionIn(answer) };
    return {
      state: "missing",
      found: failure(box.programs.bun, works),
      fix: 'steps with runner = "bun" cannot run: npm install in the project, or put bun on the PATH',
    };
  },
};

export const gitCheck: Check = {
  name: "git",
  probe: async (box) =>
    versionFinding(
      ["git"],
      await ask(box, ["git"], ["--version"]),
      "steps that work on a checkout need it: install git",
    ),
};

/** Runs a program with its first arguments before these. */
export function ask(
  box: Box,
  [file = "", ...first]: string[],
  args: string[],
  variables?: Readonly<Record<string, string>>,
): Promise<ProgramAnswer> {
  return box.run(file, [...first, ...args], variables);
}

/** A program without which only some steps cannot run. */
function versionFinding(program: string[], answer: ProgramAnswer, fix: string): Finding {
  return answer.exitCode === 0
    ? { state: "ok", found: versionIn(answer) }
    : { state: "warn", found: failure(program, answer), fix };
}

/** The version that a program has printed. */
export function versionIn({ stdout }: ProgramAnswer): string {
  return VERSION.exec(stdout)?.[0] ?? stdout.trim().split("\n", 1)[0] ?? "";
}

/** How a program failed, with its own words. */
export function failure(program: string[], { unstarted, exitCode, stderr }: ProgramAnswer): string {
  const name = program.join(" ");
  if (unstarted) return `${name} is not there, or cannot be run`;
  const words =
    stderr
      .trim()
      .split("\n")
      .find((line) => line.includes("Error")) ?? stderr.trim().split("\n", 1)[0];
  return `${name} ends with ${exitCode ?? "a signal"}${words === undefined || words === "" ? "" : `: ${words}`}`;
}
