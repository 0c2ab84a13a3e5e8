/** Which runs are shown where, how often a card moves, and when a run is forgotten: as tables. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { NOBODY_ID, type ChatPlace } from "../../contract/chat/place.ts";
import type { RunNotice } from "../../durable-objects/chat-outbox/calls.ts";
import type { Showing, ShownRun } from "../../durable-objects/chat-outbox/board/rows.ts";
import { NO_SETTINGS } from "../../durable-objects/channel-settings/settings.ts";
import {
  CLOSE_AFTER_MS,
  defaultView,
  isAtRest,
  isReadAlong,
  KEPT_AFTER_MS,
  LOOK_GAP_MS,
  nextLook,
  NOT_FRESH,
  paceOf,
  placesOf,
  READ_ALONG_MS,
  tidyAt,
} from "../../durable-objects/chat-outbox/board/rules.ts";
import { followsOf, RUN_ID, showingOf, shownRun } from "../support/chat-runs.ts";
import { BEGIN_MS } from "../support/run-fixtures.ts";

const MINUTE_MS = 60_000;
const NOTICE: RunNotice = { runId: RUN_ID, flow: "release", eventType: "upstream.release" };
const ADA = { id: "7", name: "ada" };

describe("a run is shown", () => {
  const follows = (change: Parameters<typeof followsOf>[0] = {}) =>
    new Map([["discord:100", followsOf(change)]]);

  test.each([
    ["its flow", { flows: ["release"] }, 1],
    ["its type", { flows: [], types: ["upstream.release"] }, 1],
    ["all flows", { flows: ["*"] }, 1],
    ["all types", { flows: [], types: ["*"] }, 1],
    ["another flow", { flows: ["lease"] }, 0],
    ["nothing", { flows: [], types: [] }, 0],
  ])("in a channel that follows %s", (_name, change, places) => {
    expect(placesOf(NOTICE, "discord", follows(change))).toHaveLength(places);
  });

  test("once in a channel that follows it and that it was asked for in, and its requester is known", () => {
    const origin = { place: { platform: "discord", channel: "100" } as const, user: ADA };
    expect(placesOf({ ...NOTICE, origin }, "discord", follows())).toEqual([
      { place: "discord:100", via: "origin", thread: true, user: ADA },
    ]);
  });

  test("for nobody in particular when none of the chat's people asked for it, as a relayed session is", () => {
    const origin = {
      place: { platform: "discord", channel: "100" } as const,
      user: { id: NOBODY_ID, name: "relay" },
    };
    expect(placesOf({ ...NOTICE, origin }, "discord", new Map())).toEqual([
      { place: "discord:100", via: "origin", thread: true },
    ]);
  });

  test("in a thread of its own when it was asked for with one, where there can be one", () => {
    const plain = new Map([["discord:100", followsOf({ flows: [], threads: false })]]);
    const asked = (place: ChatPlace, platform: ChatPlace["platform"]) =>
      placesOf({ ...NOTICE, origin: { place, user: ADA, ownThread: true } }, platform, plain);
    expect(asked({ platform: "discord", channel: "100" }, "discord")).toMatchObject([{ thread: true }]);
    expect(asked({ platform: "telegram", channel: "-5" }, "telegram")).toMatchObject([{ thread: true }]);
    expect(asked({ platform: "telegram", channel: "5" }, "telegram")).toMatchObject([{ thread: false }]);
    expect(asked({ platform: "telegram", channel: "-5", thread: "9" }, "telegram")).toMatchObject([
      { place: "telegram:-5:9", thread: false },
    ]);
  });

  test("in the thread that it was asked for in, without one of its own", () => {
    const origin = { place: { platform: "discord", channel: "200", thread: "9" } as const, user: ADA };
    expect(placesOf({ ...NOTICE, origin }, "discord", new Map())).toEqual([
      { place: "discord:200:9", via: "origin", thread: false, user: ADA },
    ]);
  });

  test("by the outbox of the platform only that it was asked for on", () => {
    const origin = { place: { platform: "telegram", channel: "-5" } as const, user: ADA };
    expect(placesOf({ ...NOTICE, origin }, "discord", new Map())).toEqual([]);
  });

  test("without a topic in a private chat of Telegram, whatever is set", () => {
    const place = { platform: "telegram", channel: "5" } as const;
    const set = new Map([["telegram:5", followsOf({ place, flows: ["*"], threads: true })]]);
    expect(placesOf(NOTICE, "telegram", set)).toMatchObject([{ place: "telegram:5", thread: false }]);
  });
});

describe("a running card", () => {
  const followed = (from: number): Showing => showingOf({ follow: { from, until: BEGIN_MS + 1e9 } });

  test.each([
    [0, 3_000],
    [9 * MINUTE_MS, 3_000],
    [10 * MINUTE_MS, 10_000],
    [49 * MINUTE_MS, 10_000],
    [50 * MINUTE_MS, 30_000],
  ])("that has been followed for %d ms moves every %d ms", (age, pace) => {
    expect(paceOf(followed(BEGIN_MS), followsOf(), 1, BEGIN_MS + age)).toBe(pace);
  });

  test("whose message is old moves slowly, however lately somebody began to follow", () => {
    const late = BEGIN_MS + 60 * MINUTE_MS;
    expect(paceOf(followed(late), followsOf(), 1, late)).toBe(30_000);
  });

  test.each([
    ["minimal", Infinity],
    ["balanced", 30_000],
    ["verbose", 5_000],
  ] as const)("that nobody follows, in %s, moves every %d ms", (output, pace) => {
    expect(paceOf(showingOf(), followsOf({ output }), 1, BEGIN_MS)).toBe(pace);
  });

  test("that is no longer followed goes back to its channel's pace", () => {
    const over = showingOf({ follow: { from: BEGIN_MS, until: BEGIN_MS + 1 } });
    expect(paceOf(over, followsOf(), 1, BEGIN_MS + 1)).toBe(30_000);
  });

  test("shares a Telegram group's limit with all cards that move in it", () => {
    const place = { platform: "telegram", channel: "-5" } as const;
    const showing = { ...followed(BEGIN_MS), place: "telegram:-5" };
    expect(paceOf(showing, defaultView(place), 1, BEGIN_MS)).toBe(5_000);
    expect(paceOf(showing, defaultView(place), 4, BEGIN_MS)).toBe(20_000);
  });
});

describe("a run is looked at", () => {
  const paced = [{ showing: showingOf(), pace: 3_000 }];

  test("at once when it changed, but not twice within a second", () => {
    expect(nextLook(shownRun(), paced, NOT_FRESH)).toBe(0);
    const fresh = { ...NOT_FRESH, lookedAt: BEGIN_MS };
    expect(nextLook(shownRun({ phase: "running" }), paced, fresh)).toBe(BEGIN_MS + LOOK_GAP_MS);
  });

  test.each([
    [1, 2_000],
    [2, 4_000],
    [3, 8_000],
    [12, 600_000],
  ])("while it waits: after %d looks in %d ms, also by an object that has just woken", (looks, ms) => {
    const run = shownRun({ phase: "queued", changed: false, waiting: { at: BEGIN_MS, looks } });
    expect(nextLook(run, paced, NOT_FRESH)).toBe(BEGIN_MS + ms);
  });

  test("while it runs at the pace of the fastest of its places, and never for minimal ones alone", () => {
    const run = shownRun({ phase: "running", changed: false });
    const fresh = {
      lookedAt: BEGIN_MS,
      failures: 0,
      changedAt: 0,
      drawnAt: new Map([["discord:100", BEGIN_MS]]),
    };
    expect(nextLook(run, paced, fresh)).toBe(BEGIN_MS + 3_000);
    expect(nextLook(run, [{ showing: showingOf(), pace: Infinity }], fresh)).toBeUndefined();
  });

  test.each([
    ["somebody follows", "release", { follow: { from: BEGIN_MS, until: BEGIN_MS + MINUTE_MS } }],
    ["is a relayed session, in the chat it was pointed at", "relay", { via: "origin" }],
  ] as const)("that %s is looked at again within two seconds, however slow its card is", (_n, flow, row) => {
    const showing = showingOf(row);
    const readAlong = isReadAlong(showing, flow, BEGIN_MS);
    const run = shownRun({ flow, phase: "running", changed: false });
    const drawnAt = new Map([[showing.place, BEGIN_MS]]);
    const fresh = { lookedAt: BEGIN_MS, failures: 0, changedAt: 0, drawnAt };
    const due = nextLook(run, [{ showing, pace: 30_000, readAlong }], fresh) ?? Infinity;
    // A look asks the runner for the words it holds back, and the next look posts them: two looks are the bound.
    expect(due).toBe(BEGIN_MS + READ_ALONG_MS);
    expect(2 * READ_ALONG_MS).toBeLessThan(5_000);
  });

  test("that nobody reads along is looked at when its card is due, not sooner", () => {
    expect(isReadAlong(showingOf(), "release", BEGIN_MS)).toBe(false);
    expect(isReadAlong(showingOf({ via: "follows" }), "relay", BEGIN_MS)).toBe(false);
    const ended = showingOf({ follow: { from: BEGIN_MS - MINUTE_MS, until: BEGIN_MS } });
    expect(isReadAlong(ended, "release", BEGIN_MS)).toBe(false);
  });

  test("not while its box is away, however fast its places are: its object says when that is back", () => {
    const away = shownRun({ phase: "running", changed: false, away: true });
    expect(nextLook(away, paced, NOT_FRESH)).toBeUndefined();
    expect(nextLook({ ...away, changed: true }, paced, NOT_FRESH)).toBe(0);
    expect(isAtRest(away)).toBe(false);
  });

  test("later and later while its object does not answer", () => {
    const at = (failures: number) =>
      nextLook(shownRun(), paced, { ...NOT_FRESH, lookedAt: BEGIN_MS, failures });
    expect([1, 2, 3, 20].map(at)).toEqual([5_000, 10_000, 20_000, 300_000].map((ms) => BEGIN_MS + ms));
  });

  test("never when it is over and drawn; one more time when that changed, or output is left", () => {
    const over = shownRun({ phase: "over", changed: false });
    expect(nextLook(over, paced, NOT_FRESH)).toBeUndefined();
    expect(isAtRest(over)).toBe(true);
    for (const left of [{ changed: true }, { behind: true }]) {
      expect(nextLook({ ...over, ...left }, paced, NOT_FRESH)).toBe(0);
      expect(isAtRest({ ...over, ...left })).toBe(false);
    }
  });

  test("never before the gap, whatever its rows are", () => {
    const run = fc.record({
      phase: fc.constantFrom<ShownRun["phase"]>("unseen", "queued", "running", "over"),
      changed: fc.boolean(),
      pace: fc.constantFrom(3_000, 30_000, Infinity),
      failures: fc.nat(30),
    });
    fc.assert(
      fc.property(run, ({ phase, changed, pace, failures }) => {
        const fresh = { ...NOT_FRESH, lookedAt: BEGIN_MS, failures };
        const due = nextLook(shownRun({ phase, changed }), [{ showing: showingOf(), pace }], fresh);
        expect(due ?? Infinity).toBeGreaterThanOrEqual(BEGIN_MS + LOOK_GAP_MS);
      }),
    );
  });
});

test.each([
  { platform: "discord", channel: "100" } as const,
  { platform: "telegram", channel: "-5" } as const,
])(
  "a channel of $platform with no settings is shown as /settings says: one thread or topic a run",
  (place) => {
    const { flows, types, threads, output, safe } = NO_SETTINGS;
    expect(defaultView(place)).toEqual({ place, flows, types, threads, output, safe });
    const origin = { place, user: { id: NOBODY_ID, name: "relay" } };
    expect(placesOf({ ...NOTICE, origin }, place.platform, new Map())).toMatchObject([{ thread: threads }]);
  },
);

describe("a run that is over", () => {
  const over = shownRun({ phase: "over", changed: false, endedAt: BEGIN_MS });
  const kept = 30 * 86_400_000;

  test("has its threads closed after a while, then is forgotten, sooner where events are", () => {
    expect(tidyAt(over, [showingOf()], kept)).toBe(BEGIN_MS + CLOSE_AFTER_MS);
    expect(tidyAt({ ...over, closed: true }, [showingOf()], kept)).toBe(BEGIN_MS + KEPT_AFTER_MS);
    expect(tidyAt({ ...over, closed: true }, [showingOf()], 86_400_000)).toBe(BEGIN_MS + 86_400_000);
  });

  test("and is shown once more keeps that thread open for as long", () => {
    const shownAt = BEGIN_MS + 86_400_000;
    expect(tidyAt(over, [showingOf({ shownAt })], kept)).toBe(shownAt + CLOSE_AFTER_MS);
  });
});
