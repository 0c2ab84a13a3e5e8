/** What is set for a channel: changes, bounds, and whether a relay may post. */
import { describe, expect, test } from "vitest";
import { FOLLOWS_PER_CHANNEL_MAX, GUARDS_PER_CHANNEL_MAX } from "../../contract/limits.ts";
import {
  changeSettings,
  guardVerdict,
  NO_SETTINGS,
  setGuard,
  type Guard,
  type Settings,
  type SettingsChange,
} from "../../durable-objects/channel-settings/settings.ts";

function after(...changes: SettingsChange[]): Settings {
  return changes.reduce<Settings>((settings, change) => {
    const answer = changeSettings(settings, change);
    if (answer.kind !== "set") throw new Error(answer.kind);
    return answer.settings;
  }, NO_SETTINGS);
}

describe("settings", () => {
  test("what is followed is followed once, and * takes all of it away", () => {
    expect(after({ follow: { flows: ["a", "b"] } }, { follow: { flows: ["a"] } }).flows).toEqual(["a", "b"]);
    expect(after({ follow: { flows: ["a", "b"] } }, { unfollow: { flows: ["*"] } }).flows).toEqual([]);
  });

  test("the outbox is told of what it shows, and of nothing else", () => {
    expect(after({ project: "x" }, { session: "new" }).followsRev).toBe(0);
    expect(after({ safe: false }).followsRev).toBe(0);
    expect(after({ safe: true }, { output: "minimal" }, { follow: { types: ["t"] } }).followsRev).toBe(3);
    expect(after({ listen: true }, { listen: true }, { listen: false })).toMatchObject({
      listen: false,
      followsRev: 2,
    });
  });

  test("more than a channel may follow is refused, and nothing of it kept", () => {
    const flows = Array.from({ length: FOLLOWS_PER_CHANNEL_MAX + 1 }, (_unused, index) => `f${index}`);
    expect(changeSettings(NO_SETTINGS, { follow: { flows } })).toEqual({
      kind: "full",
      most: FOLLOWS_PER_CHANNEL_MAX,
    });
  });
});

const guard = (more: Partial<Guard> = {}): Guard => ({ on: true, by: "ada", at: 1, ...more });

describe("the guard", () => {
  test.each([
    [[], {}, "not_set"],
    [[guard()], {}, "on"],
    [[guard()], { topic: "7", sessionKey: "s" }, "on"],
    [[guard({ on: false })], {}, "off"],
    // What was said of a thread stands above what was said of its channel, and says nothing of other threads.
    [[guard(), guard({ on: false, topic: "7" })], { topic: "7" }, "off"],
    [[guard(), guard({ on: false, topic: "7" })], { topic: "8" }, "on"],
    [[guard({ on: false }), guard({ topic: "7" })], { topic: "7" }, "on"],
    [[guard({ topic: "7" })], {}, "not_set"],
    [[guard({ topic: "7" })], { topic: "8" }, "not_set"],
    [[guard({ sessionKey: "s" })], { sessionKey: "s" }, "on"],
    [[guard({ sessionKey: "s" })], { sessionKey: "t" }, "other_session"],
    [[guard({ sessionKey: "s" })], {}, "other_session"],
  ] as const)("%j, asked for %j: %s", (guards, question, reason) => {
    expect(guardVerdict(guards, question)).toEqual({ allowed: reason === "on", reason });
  });

  test("one for each thread, the newest", () => {
    const first = setGuard(NO_SETTINGS, guard({ topic: "7" }));
    const settings = first.kind === "set" ? first.settings : NO_SETTINGS;
    expect(setGuard(settings, guard({ topic: "7", on: false }))).toMatchObject({
      settings: { guards: [{ topic: "7", on: false }] },
    });
  });

  test("no room for another thread: refused, so that no refusal is forgotten", () => {
    const guards = Array.from({ length: GUARDS_PER_CHANNEL_MAX }, (_unused, index) =>
      guard({ topic: String(index) }),
    );
    const full = { ...NO_SETTINGS, guards };
    expect(setGuard(full, guard({ topic: "x" }))).toEqual({ kind: "full", most: GUARDS_PER_CHANNEL_MAX });
    expect(setGuard(full, guard({ topic: "3", on: false })).kind).toBe("set");
  });
});
