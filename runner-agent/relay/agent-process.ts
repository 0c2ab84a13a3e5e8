/**
 * The process of an agent: over pipes, or in a terminal of its own (pty.ts). Either leads a session of its own, so that
 * all it starts can be found (steps/process-tree.ts), and bears the marks of its attempt in its environment.
 */
import { spawn } from "node:child_process";
import { accessSync, constants, statSync } from "node:fs";
import { delimiter, join, resolve } from "node:path";
import type { ProcessExit } from "../../contract/run-record.ts";

export interface StartOptions {
  file: string;
  args: readonly string[];
  cwd: string;
  env: Record<string, string>;
}

export interface AgentProcess {
  readonly pid: number;
  /** When it is gone and what it has written is read. Never rejects. */
  readonly exited: Promise<ProcessExit>;
  onOutput(listener: (stream: "stdout" | "stderr", bytes: Buffer) => void): void;
  write(text: string): void;
  /** Nothing more will be written. */
  closeInput(): void;
  pause(): void;
  resume(): void;
  /** Gives up what is still to be read: somebody else may hold the pipes for ever. */
  abandonOutput(): void;
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
  // Who does not read its input closes it; the exit says what became of it.
  stdin.on("error", () => undefined);
  const closed = new Promise<void>((done) => {
    child.once("close", () => {
      done();
    });
  });
  const abandoned = Promise.withResolvers<undefined>();
  const gone = new Promise<ProcessExit>((done) => {
    child.once("exit", (code, signal) => {
      done({ code, signal });
    });
  });
  return {
    pid: child.pid ?? 0,
    exited: (async () => {
      const exit = await gone;
      await Promise.race([closed, abandoned.promise]);
      return exit;
    })(),
    onOutput(listener) {
      for (const [stream, pipe] of [
        ["stdout", stdout],
        ["stderr", stderr],
      ] as const) {
        pipe.on("data", (bytes: Buffer) => {
          listener(stream, bytes);
        });
        pipe.on("error", () => undefined);
      }
    },
    write: (text) => void stdin.write(text),
    closeInput: () => stdin.end(),
    pause: () => {
      for (const pipe of [stdout, stderr]) pipe.pause();
    },
    resume: () => {
      for (const pipe of [stdout, stderr]) pipe.resume();
    },
    abandonOutput: () => {
      for (const pipe of [stdin, stdout, stderr]) pipe.destroy();
      abandoned.resolve(undefined);
    },
  };
}
