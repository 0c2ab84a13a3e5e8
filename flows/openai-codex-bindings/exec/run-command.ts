/** Runs one program to its end. Its own words are kept, since they are the reason when it fails. */
import { execFile } from "node:child_process";

const OUTPUT_MAX_BYTES = 16 * 1024 * 1024;
const REASON_MAX_CHARS = 1500;

/** How a program is started; without `env` it gets this step's. */
export interface CommandOptions {
  cwd: string;
  env?: Record<string, string>;
}

/** Standard output of the program. Throws with the program's own words when it cannot start or fails. */
export function runCommand(command: string, args: string[], options: CommandOptions): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = execFile(
      command,
      args,
      { ...options, maxBuffer: OUTPUT_MAX_BYTES },
      (error, stdout, stderr) => {
        if (error === null) resolve(stdout);
        else reject(new Error(`${command} ${args.join(" ")}: ${wordsOf(error, stdout, stderr)}`));
      },
    );
    // Nobody is there to answer a question.
    child.stdin?.end();
  });
}

function wordsOf(error: Error, stdout: string, stderr: string): string {
  if ("code" in error && error.code === "ENOENT") return "no such program on PATH, or no such working folder";
  return (stderr.trim() || stdout.trim() || error.message).slice(0, REASON_MAX_CHARS);
}
