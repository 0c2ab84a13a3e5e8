/**
 * The process of an agent: over pipes, or in a terminal of its own (pty.ts). Both lead a session of their own and carry
 * the marks of their attempt in the environment, so that steps/process-tree.ts finds everything they start.
 */
import { spawn } from "node:child_process";
import { accessSync, constants, statSync } from "node:fs";
import { delimiter, join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { ProcessExit } from "../../contract/run-record.ts";

/** How often pipes that go on after their process is gone are waited for; then a process outside the tree writes to them. */
const LOOKS_AT_PIPES_MAX = 20;

export interface StartOptions {
  file: string;
  args: readonly string[];
  cwd: string;
  env: Record<string, string>;
}

export interface AgentProcess {
  readonly pid: number;
  /** When it is gone; what it has written may still be unread. Never rejects. */
  readonly exited: Promise<ProcessExit>;
  onOutput(listener: (stream: "stdout" | "stderr", bytes: Buffer) => void): void;
  write(bytes: string | Uint8Array): void;
  /** Nothing more will be written. */
  closeInput(): void;
  /** Hands this input on as it comes, and its end. Absent where input is typed. */
  pipeInput?(source: NodeJS.ReadableStream): void;
  /** Whether the terminal hides what is typed now, as at a question for a password. Absent without a terminal. */
  isEchoOff?(): boolean;
  pause(): void;
  resume(): void;
  /**
   * Reads what is left when the process is gone, and lets go of its streams. Another process may hold them for ever, so
   * reading ends when nothing has come for `quietMs`.
   */
  finishOutput(quietMs: number): Promise<void>;
}

/** Where the program lies, as a shell would find it; undefined when it does not. */
export function findProgram(
  file: string,
  cwd: string,
  environment: Readonly<Record<string, string | undefined>>,
): string | undefined {
  const candidates = file.includes("/")
    ? [resolve(cwd, file)]
    : (environment["PATH"] ?? "").split(delimiter).map((folder) => join(folder === "" ? "." : folder, file));
  return candidates.find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return statSync(path).isFile();
    } catch {
      return false;
    }
  });
}

/** Over pipes. @throws Error of the operating system when it cannot be started */
export async function startPiped({ file, args, cwd, env }: StartOptions): Promise<AgentProcess> {
  const child = spawn(file, args, { cwd, env, detached: true, stdio: "pipe" });
  await new Promise((started, failed) => {
    child.once("spawn", started);
    child.once("error", failed);
  });
  const { stdin, stdout, stderr } = child;
  // A program that does not read its input closes it; the exit says what became of it.
  stdin.on("error", () => undefined);
  let isClosed = false;
  const closed = new Promise<void>((done) => {
    child.once("close", () => {
      isClosed = true;
      done();
    });
  });
  let bytesRead = 0;
  for (const pipe of [stdout, stderr]) {
    pipe.on("error", () => undefined);
    pipe.on("data", (bytes: Buffer) => {
      bytesRead += bytes.length;
    });
    pipe.pause();
  }
  return {
    pid: child.pid ?? 0,
    exited: new Promise<ProcessExit>((done) => {
      child.once("exit", (code, signal) => {
        done({ code, signal });
      });
    }),
    onOutput(listener) {
      for (const [stream, pipe] of [
        ["stdout", stdout],
        ["stderr", stderr],
      ] as const) {
        pipe.on("data", (bytes: Buffer) => {
          listener(stream, bytes);
        });
        pipe.resume();
      }
    },
    write: (bytes) => void stdin.write(bytes),
    closeInput: () => stdin.end(),
    pipeInput: (source) => {
      source.pipe(stdin);
      source.on("error", () => stdin.end());
    },
    pause: () => {
      for (const pipe of [stdout, stderr]) pipe.pause();
    },
    resume: () => {
      for (const pipe of [stdout, stderr]) pipe.resume();
    },
    async finishOutput(quietMs) {
      for (let looks = 0; looks < LOOKS_AT_PIPES_MAX && !isClosed; looks += 1) {
        const before = bytesRead;
        await Promise.race([closed, sleep(quietMs)]);
        // A process that was itself late reads what has come meanwhile before it decides.
        await new Promise((read) => setImmediate(read));
        if (bytesRead === before) break;
      }
      for (const pipe of [stdin, stdout, stderr]) pipe.destroy();
    },
  };
}
