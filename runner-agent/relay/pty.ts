/**
 * An agent in a terminal of its own: a program that asks, draws or refuses to work without a terminal does as it does
 * in front of a person. What it writes comes as one stream, with all the sequences that steer a terminal.
 */
import { constants } from "node:os";
import { spawn } from "@lydell/node-pty";
import type { ProcessExit } from "../../contract/run-record.ts";
import type { AgentProcess, StartOptions } from "./agent-process.ts";

/** Wide, so that few programs break their lines. */
const COLUMNS = 160;
const ROWS = 50;
/** What a terminal sends for the end of the input (Control-D). */
const END_OF_INPUT = "\u0004";

export function startInTerminal({ file, args, cwd, env }: StartOptions): AgentProcess {
  const terminal = spawn(file, [...args], { name: "xterm-256color", cols: COLUMNS, rows: ROWS, cwd, env });
  const over = Promise.withResolvers<ProcessExit>();
  let gone = false;
  terminal.onExit(({ exitCode, signal }) => {
    gone = true;
    over.resolve(
      signal === undefined || signal === 0
        ? { code: exitCode, signal: null }
        : { code: null, signal: signalName(signal) },
    );
  });
  const unlessGone = (act: () => void): void => {
    if (!gone) act();
  };
  return {
    pid: terminal.pid,
    exited: over.promise,
    onOutput(listener) {
      terminal.onData((text) => {
        listener("stdout", Buffer.from(text));
      });
    },
    write: (text) => {
      unlessGone(() => {
        terminal.write(text);
      });
    },
    closeInput: () => {
      unlessGone(() => {
        terminal.write(END_OF_INPUT);
      });
    },
    pause: () => {
      unlessGone(() => {
        terminal.pause();
      });
    },
    resume: () => {
      unlessGone(() => {
        terminal.resume();
      });
    },
    // Its output ends with it.
    abandonOutput: () => undefined,
  };
}

function signalName(signal: number): string {
  return Object.entries(constants.signals).find(([, number]) => number === signal)?.[0] ?? String(signal);
}
