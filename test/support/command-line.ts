/** One call of the program `codex-flow` as a process with flags, environment and standard input, run to its end. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { text as readAll } from "node:stream/consumers";
import { onTestFinished } from "vitest";
import { TOKEN } from "./fake-edge.ts";
import { temporaryFolder } from "./flow-workspace.ts";

/** The built program: it starts in a quarter of the time that its source takes. `npm run build` makes it. */
export const PROGRAM = new URL("../../dist/codex-flow.js", import.meta.url).pathname;

export interface Ended {
  code: number | null;
  out: string;
  err: string;
}

/** Runs the program to its end. It sees only the environment that is given. */
export async function codexFlow(
  words: string[],
  {
    environment = {},
    input = "",
    cwd,
    unheard = false,
  }: {
    environment?: Record<string, string>;
    input?: string;
    cwd?: string;
    /** Nobody reads its standard error: the pipe is closed. */
    unheard?: boolean;
  } = {},
): Promise<Ended> {
  const home = environment["XDG_CONFIG_HOME"] ?? (await temporaryFolder());
  const child = spawn(process.execPath, [PROGRAM, ...words], {
    env: { PATH: process.env["PATH"], HOME: home, XDG_CONFIG_HOME: home, ...environment },
    ...(cwd === undefined ? {} : { cwd }),
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  child.stdin.end(input);
  if (unheard) child.stderr.destroy();
  const ended = once(child, "exit") as Promise<[number | null]>;
  const [out, err, [code]] = await Promise.all([
    readAll(child.stdout),
    unheard ? "" : readAll(child.stderr),
    ended,
  ]);
  return { code, out, err };
}

/** The environment of a command that speaks to this edge. */
export function access(edge: { url: string }, extra: Record<string, string> = {}) {
  return { environment: { CODEX_FLOW_URL: edge.url, CODEX_FLOW_TOKEN: TOKEN, ...extra } };
}
