/**
 * A program in a terminal of its own: a program that asks, draws or refuses to work without a terminal behaves as it does
 * in front of a person. Everything it writes arrives as one stream, with the sequences that control a terminal.
 *
 * The terminal is read here and not by node-pty. node-pty's reader takes the end of the program for the end of its
 * output, and then loses what the kernel still holds. The relay keeps the program's side of the terminal open, so that
 * the kernel reports no end, and reads until nothing is left once the program is gone.
 */
import { spawnSync } from "node:child_process";
import { closeSync, constants as files, openSync, readSync } from "node:fs";
import { createRequire } from "node:module";
import { constants } from "node:os";
import { ReadStream } from "node:tty";
import type { ProcessExit } from "../../contract/run-record.ts";
import type { AgentProcess, StartOptions } from "./agent-process.ts";
import { SCREEN_ROWS } from "./screen-rows.ts";

/** Wide, so that few programs break their lines. */
const COLUMNS = 160;
const TERMINAL_NAME = "xterm-256color";
/** What a terminal sends for the end of the input (Control-D). It ends a line that has begun, or else the input. */
const END_OF_INPUT = "\u0004";
/** Line ends, as characters of a text and as bytes. */
const LINE_ENDS: readonly (string | number)[] = ["\n", "\r", 10, 13];
const READ_BYTES = 64 * 1024;
/** The kernel holds less than this of a terminal; more after the program's end comes from a process outside its tree. */
const LEFT_MAX_BYTES = 4 * 1024 * 1024;
/** How long `stty` may take to tell whether the terminal echoes. */
const STTY_MAX_MS = 2_000;

/** The part of node-pty's native half that starts a process in a new terminal. `-1`: the user stays the same. */
interface NativePty {
  fork(
    ...given: [
      file: string,
      args: readonly string[],
      environment: readonly string[],
      cwd: string,
      columns: number,
      rows: number,
      uid: -1,
      gid: -1,
      utf8: boolean,
      helper: string,
      onExit: (code: number, signal: number) => void,
    ]
  ): { fd: number; pid: number; pty: string };
}

/** The binary package for this platform, found from node-pty, whose dependency it is. */
function nativePty(): { native: NativePty; helper: string } {
  const fromHere = createRequire(import.meta.url);
  const fromNodePty = createRequire(fromHere.resolve("@lydell/node-pty/package.json"));
  const binaries = `@lydell/node-pty-${process.platform}-${process.arch}`;
  return {
    native: fromNodePty(`${binaries}/pty.node`) as NativePty,
    // Only macOS starts programs through a helper.
    helper: process.platform === "darwin" ? fromNodePty.resolve(`${binaries}/spawn-helper`) : "",
  };
}

export function startInTerminal({ file, args, cwd, env }: StartOptions): AgentProcess {
  const { native, helper } = nativePty();
  const exited = Promise.withResolvers<ProcessExit>();
  const environment = Object.entries({ ...env, PWD: cwd, TERM: TERMINAL_NAME });
  const { fd, pid, pty } = native.fork(
    file,
    args,
    environment.map(([name, value]) => `${name}=${value}`),
    cwd,
    COLUMNS,
    SCREEN_ROWS,
    ...([-1, -1, true, helper] as const),
    (code, signal) => {
      exited.resolve(signal === 0 ? { code, signal: null } : { code: null, signal: signalName(signal) });
    },
  );
  // Opened before the event loop looks at the terminal for the first time. It is nobody's controlling terminal by that.
  const programSide = openSync(pty, files.O_RDWR | files.O_NOCTTY);
  const terminal = new ReadStream(fd);
  // A write to a terminal that is gone: the exit says what happened.
  terminal.on("error", () => undefined);
  let listener: (bytes: Buffer) => void = () => undefined;
  let isLineBegun = false;
  const type = (bytes: Uint8Array | string): void => {
    const last = bytes.at(-1);
    isLineBegun = last !== undefined && !LINE_ENDS.includes(last);
    if (!terminal.destroyed) terminal.write(bytes);
  };
  return {
    pid,
    exited: exited.promise,
    onOutput(onText) {
      listener = (bytes) => {
        onText("stdout", bytes);
      };
      terminal.on("data", listener);
    },
    write: type,
    closeInput: () => {
      type(isLineBegun ? END_OF_INPUT + END_OF_INPUT : END_OF_INPUT);
    },
    isEchoOff: () => isEchoOff(programSide),
    pause: () => {
      terminal.pause();
    },
    resume: () => {
      terminal.resume();
    },
    async finishOutput() {
      if (terminal.destroyed) return Promise.resolve();
      terminal.pause();
      // First what the stream has read already, which goes to its listeners; then what the kernel holds.
      while (terminal.read() !== null);
      for (const bytes of leftIn(fd)) listener(bytes);
      terminal.destroy();
      closeSync(programSide);
      return Promise.resolve();
    },
  };
}

/** Reads without waiting until nothing is there. */
function* leftIn(fd: number): Generator<Buffer> {
  const buffer = Buffer.alloc(READ_BYTES);
  for (let total = 0; total < LEFT_MAX_BYTES;) {
    let length: number;
    try {
      length = readSync(fd, buffer);
    } catch {
      // EAGAIN: nothing is left. EIO: the other side is closed everywhere.
      return;
    }
    if (length === 0) return;
    total += length;
    yield Buffer.from(buffer.subarray(0, length));
  }
}

/** Whether what is typed stays invisible, as at a question for a password. Also true when nobody can tell. */
function isEchoOff(terminal: number): boolean {
  const { status, stdout } = spawnSync("stty", ["-a"], {
    stdio: [terminal, "pipe", "ignore"],
    encoding: "utf8",
    timeout: STTY_MAX_MS,
  });
  return status !== 0 || !/(?:^|\s)echo(?:\s|;|$)/.test(stdout);
}

function signalName(signal: number): string {
  return Object.entries(constants.signals).find(([, number]) => number === signal)?.[0] ?? String(signal);
}
