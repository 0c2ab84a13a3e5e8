/** What is set for a channel: changes, bounds, and whether a relay may post. */
import { describe, expect, test } from "vitest";
import { FOLLOWS_PER_CHANNEL_MAX, GUARDS_PER_CHANNEL_MAX } from "../../contract/limits.ts";
import {
  changeSettings,
  guardVerdict,
  movedSettings,
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
    // A session's own stands above what was said about all, and says nothing of other sessions.
    [[guard(), guard({ sessionKey: "s", on: false })], { sessionKey: "s" }, "off"],
    [[guard(), guard({ sessionKey: "s", on: false })], { sessionKey: "t" }, "on"],
    [[guard({ on: false }), guard({ sessionKey: "s" })], { sessionKey: "s" }, "on"],
    [[guard({ sessionKey: "s" }), guard({ sessionKey: "t", on: false })], { sessionKey: "s" }, "on"],
    // A thread that is open for one session is open for no other, whatever its channel says of all.
    [[guard(), guard({ topic: "7", sessionKey: "s" })], { topic: "7", sessionKey: "t" }, "other_session"],
    [[guard(), guard({ topic: "7", sessionKey: "s", on: false })], { topic: "7", sessionKey: "t" }, "on"],
  ] as const)("%j, asked for %j: %s", (guards, question, reason) => {
    expect(guardVerdict(guards, question)).toEqual({ allowed: reason === "on", reason });
  });

  const said = (...guards: Guard[]): Settings =>
    guards.reduce<Settings>((settings, one) => {
      const answer = setGuard(settings, one);
      if (answer.kind !== "set") throw new Error(answer.kind);
      return answer.settings;
    }, NO_SETTINGS);
  const allowed = ({ guards }: Settings, sessionKey?: string, topic?: string): boolean =>
    guardVerdict(guards, {
      ...(sessionKey === undefined ? {} : { sessionKey }),
      ...(topic === undefined ? {} : { topic }),
    }).allowed;

  test.each([undefined, "7"])("of one session takes nothing from another, in thread %s", (topic) => {
    const at = topic === undefined ? {} : { topic };
    const both = [guard({ sessionKey: "a", ...at }), guard({ sessionKey: "b", ...at })];
    const open = said(...both);
    expect([allowed(open, "a", topic), allowed(open, "b", topic)]).toEqual([true, true]);
    const half = said(...both, guard({ sessionKey: "b", on: false, ...at }));
    expect([allowed(half, "a", topic), allowed(half, "b", topic)]).toEqual([true, false]);
    // Without a key it is said of all.
    const closed = said(...both, guard({ on: false, ...at }));
    expect([allowed(closed, "a", topic), allowed(closed, "b", topic)]).toEqual([false, false]);
    expect(allowed(said(...both, guard(at)), "c", topic)).toBe(true);
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

  test("no room, and refusals of sessions that are not allowed anyway: they make room", () => {
    const guards = Array.from({ length: GUARDS_PER_CHANNEL_MAX }, (_unused, index) =>
      guard({ sessionKey: String(index), on: false }),
    );
    expect(setGuard({ ...NO_SETTINGS, guards }, guard({ sessionKey: "x" }))).toMatchObject({
      settings: { guards: [{ sessionKey: "x" }] },
    });
    const needed = { ...NO_SETTINGS, guards: [guard(), ...guards.slice(1)] };
    expect(setGuard(needed, guard({ sessionKey: "x" })).kind).toBe("full");
  });
});

describe("a channel that has become another one", () => {
  const said = (on: boolean, at: number, sessionKey?: string): Guard => ({
    on,
    by: "ada",
    at,
    ...(sessionKey === undefined ? {} : { sessionKey }),
  });
  const moved = (old: Guard[], known: Guard[]): Guard[] =>
    movedSettings({ ...NO_SETTINGS, guards: old }, { ...NO_SETTINGS, guards: known }).guards;

  test("takes along what was said of all relays and of single ones, also when that was cut off", () => {
    const guards = [said(true, 1), said(false, 2, "a"), said(true, 3, "b")];
    for (let done = 0; done <= guards.length; done += 1)
      expect(moved(guards, guards.slice(0, done))).toEqual(guards.slice(done));
  });

  test("opens nothing that was refused there meanwhile", () => {
    expect(moved([said(true, 1, "a")], [said(false, 2, "a")])).toEqual([]);
    expect(moved([said(true, 1, "a")], [said(false, 2)])).toEqual([]);
    expect(moved([said(true, 1)], [said(false, 2, "a")])).toEqual([]);
  });

  test("is listened to as before", () => {
    expect(movedSettings({ ...NO_SETTINGS, listen: true }, NO_SETTINGS).change.listen).toBe(true);
    expect(movedSettings(NO_SETTINGS, NO_SETTINGS).change).not.toHaveProperty("listen");
  });
});
