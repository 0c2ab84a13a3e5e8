/** Any other command: it runs in a terminal of its own, what it prints is text, and what is said to it is typed. */
import type { Agent } from "./agent.ts";

const ENTER = "\r";

export const raw: Agent = {
  name: "raw",
  title: "Command",
  fits: () => true,
  launch: async (command) => {
    const [file = "", ...args] = command;
    return Promise.resolve({ file, args, terminal: true, input: "", say: (text) => `${text}${ENTER}` });
  },
};
