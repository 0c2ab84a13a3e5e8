/** The timers of a step: started over by each word of it, and none that runs on while the box sleeps. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Countdown } from "../../runner-agent/steps/clocks.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

let sleptMs: number;
let expiries: number;
let countdown: Countdown;

beforeEach(() => {
  vi.useFakeTimers();
  [sleptMs, expiries] = [0, 0];
  // As on macOS: it goes on while the box sleeps, and no timer does.
  const clock = () => performance.now() + sleptMs;
  countdown = new Countdown(
    20 * MINUTE_MS,
    () => {
      expiries += 1;
    },
    clock,
  );
});

afterEach(() => {
  vi.useRealTimers();
});

test("it expires once, when its time is over, and not before", () => {
  countdown.start();
  vi.advanceTimersByTime(20 * MINUTE_MS - 1);
  expect([expiries, countdown.running]).toEqual([0, true]);
  vi.advanceTimersByTime(1);
  expect([expiries, countdown.running]).toEqual([1, false]);
  vi.advanceTimersByTime(HOUR_MS);
  expect(expiries).toBe(1);
});

test("started over it has its whole time again; stopped it has none", () => {
  countdown.start();
  vi.advanceTimersByTime(19 * MINUTE_MS);
  countdown.start();
  vi.advanceTimersByTime(20 * MINUTE_MS - 1);
  expect(expiries).toBe(0);
  countdown.stop();
  vi.advanceTimersByTime(HOUR_MS);
  expect(expiries).toBe(0);
});

test("a box that has slept for hours has lost no more than a moment of it, however often", () => {
  countdown.start();
  for (let nights = 0; nights < 3; nights += 1) {
    vi.advanceTimersByTime(5 * MINUTE_MS);
    sleptMs += 8 * HOUR_MS;
  }
  vi.advanceTimersByTime(4 * MINUTE_MS);
  expect(expiries).toBe(0);
  vi.advanceTimersByTime(2 * MINUTE_MS);
  expect(expiries).toBe(1);
});
