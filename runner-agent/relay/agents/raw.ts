/**
 * Any other command: it runs in a terminal of its own, what it prints is text, and what is said to it is typed. With input
 * from a pipe or a file it runs over pipes, as in a shell's pipeline: its input arrives byte for byte, and nobody else can
 * write to it.
 */
import { basename } from "node:path";
import type { Agent } from "./agent.ts";

const ENTER = "\r";
/** Interpreters. A session is named after the script, because people know it and not its interpreter. */
const INTERPRETER = /^(?:sh|bash|dash|zsh|python[\d.]*|node|bun|deno|ruby|perl)$/;

export const raw: Agent = {
  name: "raw",
  title: ([file = "", script = "-"]) => {
    const name = basename(file);
    return INTERPRETER.test(name) && !script.startsWith("-") ? basename(script) : name;
  },
  fits: () => true,
  launch: async (command, { isInputPiped }) => {
    const [file = "", ...args] = command;
    const known = { file, args, input: "" };
    return Promise.resolve(
      isInputPiped
        ? { ...known, terminal: false, pipesInput: true }
        : { ...known, terminal: true, say: (text) => `${text}${ENTER}` },
    );
  },
};
