#!/usr/bin/env node
/**
 * An app-server for what the real one cannot be brought to do: it shakes hands, then misbehaves as the variable
 * MISBEHAVIOUR says. Plain JavaScript, since it is started as Codex is: as a program, by whatever Node is there.
 */
import { createInterface } from "node:readline";

const misbehaviour = process.env["MISBEHAVIOUR"];
let refusals = 0;

function say(message) {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

const MISBEHAVIOURS = {
  /** Busy twice, then it answers. */
  busyTwice: ({ id }) => {
    refusals += 1;
    if (refusals <= 2) say({ id, error: { code: -32001, message: "Server overloaded; retry later." } });
    else say({ id, result: { refusals: refusals - 1 } });
  },
  busy: ({ id }) => say({ id, error: { code: -32001, message: "Server overloaded; retry later." } }),
  garbage: () => process.stdout.write("warning: this is not JSON\n"),
  noAnswer: ({ id }) => say({ id, error: "overloaded" }),
  longLine: () => process.stdout.write("x".repeat(33 * 1024 * 1024)),
  silent: () => undefined,
  /** Says why on its standard error, answers nothing, and goes. */
  dies: () => process.stderr.write("no more disk\n", () => process.exit(3)),
  /** Takes all that comes in a while, then answers each with how much it was. */
  gathers: (message) => {
    if (held.push(message.id) > 1) return;
    setTimeout(() => {
      const taken = held;
      held = [];
      for (const id of taken) say({ id, result: taken.length });
    }, 50);
  },
  /** Asks back with a method that no client knows, and answers with what it was told. */
  asks: ({ id }) => {
    if (id !== undefined && id !== "mine") waiting = id;
    say({ id: "mine", method: "item/tool/readMind", params: {} });
  },
};
let waiting;
let held = [];

if (misbehaviour === "deaf") process.on("SIGTERM", () => undefined);

for await (const line of createInterface({ input: process.stdin })) {
  const message = JSON.parse(line);
  if (message.method === "initialize") say({ id: message.id, result: { userAgent: "fake" } });
  else if (message.id === "mine") say({ id: waiting, result: message });
  else if (message.method !== "initialized") MISBEHAVIOURS[misbehaviour]?.(message);
}
if (misbehaviour === "deaf") setInterval(() => undefined, 1000);
