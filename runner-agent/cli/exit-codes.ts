/** The exit codes of `codex-flow`: the only place that knows them. `codex-flow --help` prints this table. */
import { endedBadly } from "./run-outcome.ts";

export const EXIT = {
  ok: 0,
  bad: 1,
  usage: 2,
  unreachable: 3,
  denied: 4,
  notFound: 5,
  conflict: 6,
  unfinished: 7,
  rejected: 8,
  edgeFailed: 9,
  internal: 70,
} as const;

const MEANINGS: Record<keyof typeof EXIT, string> = {
  ok: "done, and the outcome is good",
  bad: "done, and the outcome is bad: a run that failed, was canceled or needs attention (--wait, logs -f), faults in flows check, something missing in runner doctor, an event that matches nothing (--wait, --dry-run)",
  usage: "wrong flags, url or token missing, a file that cannot be read",
  unreachable: "the edge cannot be reached or does not answer",
  denied: "the token is wrong, or lacks the scope",
  notFound: "no such event, run or flow",
  conflict: "conflict: another event has this id, or the run is over",
  unfinished: "--wait <s> ended before the runs did",
  rejected: "the edge refused what was sent (bad event, too large)",
  edgeFailed: "the edge failed, or the url is not an edge's",
  internal: "a bug in codex-flow",
};

/** The table as it stands in --help. */
export function exitCodeHelp(): string {
  const rows = Object.entries(EXIT).map(
    ([name, code]) => `  ${String(code).padStart(2)}  ${MEANINGS[name as keyof typeof EXIT]}`,
  );
  return `\nExit codes:\n${rows.join("\n")}`;
}

const UNAUTHORIZED = 401;
const FORBIDDEN = 403;
const NOT_FOUND = 404;
const CONFLICT = 409;

/** Exit code for an HTTP status that is no success. */
export function exitCodeOfStatus(status: number): number {
  if (status === UNAUTHORIZED || status === FORBIDDEN) return EXIT.denied;
  if (status === NOT_FOUND) return EXIT.notFound;
  if (status === CONFLICT) return EXIT.conflict;
  return status >= 400 && status < 500 ? EXIT.rejected : EXIT.edgeFailed;
}

/** Exit code for runs that are over. */
export function exitCodeOfRuns(runs: Parameters<typeof endedBadly>[0][]): number {
  return runs.some(endedBadly) ? EXIT.bad : EXIT.ok;
}
