/** How a relay passes on what its user types at the relay's own terminal. */
import { PassThrough } from "node:stream";
import type { ReadStream } from "node:tty";
import { expect, test } from "vitest";
import { isInputPiped, localInput } from "../../runner-agent/cli/relay-input.ts";
import { until } from "../support/until.ts";

interface FakeTerminal extends PassThrough {
  isTTY?: boolean;
  isRaw?: boolean;
}

function terminal(): FakeTerminal {
  const stream: FakeTerminal = new PassThrough();
  return Object.assign(stream, {
    isTTY: true,
    setRawMode: (isRaw: boolean) => {
      stream.isRaw = isRaw;
    },
  });
}

test("the relay's terminal does not echo while the program's own terminal does, and is as before afterwards", () => {
  const stdin = terminal();
  const stop = localInput(stdin as unknown as ReadStream, () => undefined).typed({
    onBytes: () => undefined,
    onEnd: () => undefined,
  });
  expect(stdin.isRaw).toBe(true);
  stop();
  expect(stdin.isRaw).toBe(false);
  expect(stdin.listenerCount("data")).toBe(0);
});

test("every key goes to the program but Control-C, which interrupts the relay", async () => {
  const stdin = terminal();
  let typed = "";
  let interrupts = 0;
  localInput(stdin as unknown as ReadStream, () => {
    interrupts += 1;
  }).typed({
    onBytes: (bytes) => {
      typed += Buffer.from(bytes).toString();
    },
    onEnd: () => undefined,
  });
  stdin.write("se\u0003cret\r\u0004");
  await until(() => (typed.length > 0 ? true : undefined));
  expect({ typed, interrupts }).toEqual({ typed: "secret\r\u0004", interrupts: 1 });
});

test("a byte of piped input that looks like Control-C is a byte", async () => {
  const stdin = new PassThrough();
  let typed = "";
  let interrupts = 0;
  localInput(stdin as unknown as ReadStream, () => {
    interrupts += 1;
  }).typed({
    onBytes: (bytes) => {
      typed += Buffer.from(bytes).toString();
    },
    onEnd: () => undefined,
  });
  stdin.write("a\u0003b");
  await until(() => (typed.length > 0 ? true : undefined));
  expect({ typed, interrupts }).toEqual({ typed: "a\u0003b", interrupts: 0 });
});

test("a terminal is no piped input", () => {
  expect(isInputPiped({ isTTY: true })).toBe(false);
});
