/** Commands that ask a question: their exit code 1 says "no", and is no failure. Pure. */

const PROBES = new Set([
  "grep",
  "egrep",
  "fgrep",
  "rg",
  "ag",
  "test",
  "[",
  "[[",
  "diff",
  "cmp",
  "pgrep",
  "which",
]);
const NO = 1;
/** As Codex and others wrap what the model asked for: bash -lc '…'. */
const WRAPPED = /^\S*sh\s+-\w*c\s+(['"]?)([\s\S]*)\1$/;

/** Whether this exit code of the command only means that there was no match. */
export function isNoMatch(command: string, exitCode: number | undefined): boolean {
  if (exitCode !== NO) return false;
  const inner = WRAPPED.exec(command.trim())?.[2] ?? command;
  // The last command of a line gives the code; in a pipeline too.
  const last = inner.split(/&&|\|\||[;|\n]/).at(-1) ?? "";
  const words = last.trim().replace(/^!\s+/, "").split(/\s+/);
  const [first = "", second] = words[0]?.includes("=") === true ? words.slice(1) : words;
  if (first === "git") return second === "grep" || second === "diff";
  if (first === "command") return second === "-v";
  return PROBES.has(first.split("/").at(-1) ?? "");
}
