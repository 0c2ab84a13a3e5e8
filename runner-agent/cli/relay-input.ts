/** The standard input of a relay: whose it is, and what is typed at it. */
import { fstatSync, statSync } from "node:fs";
import type { ReadStream } from "node:tty";
import type { LocalInput } from "../relay/session.ts";

const STDIN = 0;
/** What a terminal in raw mode sends for Control-C. */
const INTERRUPT = 3;

/**
 * Whether standard input belongs to the program that is relayed: a pipe, a socket or a file. A terminal is a person's, and
 * the null device nobody's: then the program gets a terminal of its own.
 */
export function isInputPiped(stdin: { isTTY?: boolean | undefined }): boolean {
  if (stdin.isTTY === true) return false;
  try {
    const input = fstatSync(STDIN);
    return !(input.isCharacterDevice() && input.rdev === statSync("/dev/null").rdev);
  } catch {
    return false;
  }
}

/**
 * What is typed goes to the program's own terminal, which echoes it or hides it. So this terminal must not echo, and hands
 * on every key; only Control-C stays the relay's.
 */
export function localInput(stdin: ReadStream, onInterrupt: () => void): LocalInput {
  return {
    stream: stdin,
    typed: ({ onBytes, onEnd }) => {
      const isTerminal = stdin.isTTY;
      const onData = (bytes: Buffer): void => {
        const keys = isTerminal ? bytes.filter((key) => key !== INTERRUPT) : bytes;
        if (keys.length > 0) onBytes(keys);
        if (keys.length < bytes.length) onInterrupt();
      };
      if (isTerminal) stdin.setRawMode(true);
      stdin.on("data", onData);
      stdin.on("end", onEnd);
      return () => {
        stdin.off("data", onData);
        stdin.off("end", onEnd);
        stdin.pause();
        if (isTerminal) stdin.setRawMode(false);
      };
    },
  };
}
