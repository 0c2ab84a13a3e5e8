/**
 * Standard streams that a step can open by their path (/dev/stdin, /dev/stdout, /dev/stderr), as it can under a shell.
 *
 * Node's "pipe" is a pair of UNIX sockets, and Linux does not open a socket by its name in /proc. Node has no call that
 * makes a pipe, so standard output and standard error are named pipes whose files are removed as soon as both ends are
 * open. The reading end stays with the agent: back-pressure, end of file and SIGPIPE are those of any pipe. Standard
 * input is a file without a name instead: opening a named pipe again blocks until somebody writes to it, and by then the
 * agent has closed its end.
 *
 * Where this cannot be done (no `mkfifo`, no room for temporary files, no free file descriptor), the step gets Node's
 * own pipes. macOS opens any inherited descriptor by its path and needs nothing; Bun cannot read a named pipe as a stream.
 */
import { spawnSync } from "node:child_process";
import { closeSync, constants, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Making pipes starts a program, which takes milliseconds: so many are made at a time and kept for the next steps. */
const PIPES_AT_ONCE = 8;
const OWNER_ONLY = 0o600;

interface Pipe {
  read: number;
  write: number;
}

/** The streams of one step that is about to be started. */
export interface StandardStreams {
  /** What the process inherits as descriptors 0, 1 and 2. */
  descriptors: [stdin: number, stdout: number, stderr: number];
  /** Closes the agent's copies of them; call it when the process has been started, or could not be. */
  started(): void;
  stdout: Socket;
  stderr: Socket;
}

const spare: Pipe[] = [];

/** @param input the whole of standard input. Undefined: this system has to do with the pipes that Node makes. */
export function openStandardStreams(input: string): StandardStreams | undefined {
  if (process.platform !== "linux" || process.versions["bun"] !== undefined) return undefined;
  if (spare.length < 2) spare.push(...makePipes());
  const stdin = openInput(input);
  if (stdin === undefined) return undefined;
  const [out, error] = [spare.pop(), spare.pop()];
  if (out === undefined || error === undefined) {
    closeAll([stdin]);
    if (out !== undefined) spare.push(out);
    return undefined;
  }
  const descriptors: StandardStreams["descriptors"] = [stdin, out.write, error.write];
  return {
    descriptors,
    started: () => {
      closeAll(descriptors);
    },
    stdout: new Socket({ fd: out.read, readable: true, writable: false }),
    stderr: new Socket({ fd: error.read, readable: true, writable: false }),
  };
}

function openInput(input: string): number | undefined {
  return inTemporaryFolder((folder) => {
    const file = join(folder, "stdin");
    writeFileSync(file, input, { mode: OWNER_ONLY });
    return openSync(file, "r");
  });
}

function makePipes(): Pipe[] {
  const made = inTemporaryFolder((folder) => {
    const paths = Array.from({ length: PIPES_AT_ONCE }, (_, index) => join(folder, String(index)));
    const { status } = spawnSync("mkfifo", ["-m", OWNER_ONLY.toString(8), ...paths], { stdio: "ignore" });
    const pipes: Pipe[] = [];
    for (const path of status === 0 ? paths : []) {
      const pipe = openPipe(path);
      if (pipe === undefined) break;
      pipes.push(pipe);
    }
    return pipes;
  });
  return made ?? [];
}

/** The reading end first, without waiting for a writer; then the writing end, which must block the step when it is full. */
function openPipe(path: string): Pipe | undefined {
  let read: number | undefined;
  try {
    read = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    return { read, write: openSync(path, constants.O_WRONLY) };
  } catch {
    if (read !== undefined) closeSync(read);
    return undefined;
  }
}

/** Nothing stays on disk: what has been opened lives on without its name. */
function inTemporaryFolder<Made>(make: (folder: string) => Made): Made | undefined {
  let folder: string | undefined;
  try {
    folder = mkdtempSync(join(tmpdir(), "codex-flow-step-"));
    return make(folder);
  } catch {
    return undefined;
  } finally {
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  }
}

function closeAll(descriptors: readonly number[]): void {
  for (const descriptor of descriptors) closeSync(descriptor);
}
