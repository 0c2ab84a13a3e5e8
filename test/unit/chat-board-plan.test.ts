/** What follows from a look at a run: said once for each place, rewritten in all of them, whatever is looked at how often. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ApprovalView } from "../../contract/approvals.ts";
import { runView, type RunView } from "../../contract/run-view.ts";
import {
  planLook,
  threadName,
  type ItemPage,
  type Plan,
} from "../../durable-objects/chat-outbox/board/plan.ts";
import type { Showing, ShownRun } from "../../durable-objects/chat-outbox/board/rows.ts";
import type { ChannelFollows } from "../../durable-objects/chat-outbox/calls.ts";
import type { RunGlance } from "../../durable-objects/flow-event/calls.ts";
import {
  commandItem,
  followsOf,
  glanceOf,
  itemChunks,
  saidItem,
  showingOf,
  shownRun,
  withApprovals,
} from "../support/chat-runs.ts";
import {
  approvalFixture,
  attemptRecord,
  BEGIN_MS,
  endedRun,
  queuedRun,
  runningRun,
  runRecord,
} from "../support/run-fixtures.ts";

interface Rows {
  run: ShownRun;
  showings: Showing[];
}

interface LookOptions {
  page?: ItemPage;
  again?: boolean;
  due?: string[];
  now?: number;
  settings?: Partial<ChannelFollows>;
}

function rows(...showings: Partial<Showing>[]): Rows {
  return { run: shownRun(), showings: showings.map((change) => showingOf(change)) };
}

function look(
  { run, showings }: Rows,
  glance: RunGlance | undefined,
  { page, again = false, due = [], now = BEGIN_MS, settings }: LookOptions = {},
): Plan {
  const plan = planLook({
    run,
    showings,
    glance,
    page,
    viewOf: () => followsOf(settings),
    due: new Set(due),
    again,
    now,
  });
  if (plan === undefined) throw new Error("the run was forgotten");
  return plan;
}

/** What a plan says, in short: `card discord:100`. */
function said({ effects }: Plan): string[] {
  return effects.map((effect) => {
    const name = "key" in effect ? effect.key : "prefix" in effect ? effect.prefix : effect.anchor;
    const [kind, , place = "", ...more] = name.split("|");
    return [effect.kind, ...(effect.kind === "post" ? [kind] : []), place, ...more].join(" ");
  });
}

const changed = ({ run, showings }: Rows): Rows => ({ run: { ...run, changed: true }, showings });
const asking = (change: Partial<ApprovalView> = {}): RunGlance =>
  glanceOf(withApprovals(runningRun(), [approvalFixture(change)]));
const PLACES = [
  { place: "discord:100" },
  { place: "discord:200" },
  { place: "discord:300:9", thread: false },
];

describe("a run that is new", () => {
  test("gets its thread first, then its card there", () => {
    const plan = look(rows({}), glanceOf(queuedRun()));
    expect(said(plan)).toEqual(["thread discord:100", "card discord:100"]);
    expect(plan.effects[1]).toMatchObject({
      target: { thread: expect.stringContaining("discord:100") as string },
    });
  });

  test("that ended before anybody looked has its thread, its card and its end, in this order", () => {
    const plan = look(rows({}), glanceOf(endedRun("completed")));
    expect(said(plan)).toEqual(["thread discord:100", "card discord:100", "post final discord:100"]);
    expect(plan.run).toMatchObject({ phase: "over", changed: false, endedAt: BEGIN_MS });
  });

  test("and does not exist is forgotten, and nothing is said", () => {
    expect(
      planLook({
        ...rows({}),
        glance: undefined,
        viewOf: () => followsOf(),
        due: new Set(),
        again: false,
        now: 1,
      }),
    ).toBeUndefined();
  });
});

describe("what was said", () => {
  test("is not said again, looked at ten times more", () => {
    let plan = look(rows(...PLACES), asking());
    const first = said(plan);
    expect(first.filter((line) => line.startsWith("post"))).toHaveLength(3);
    for (let time = 0; time < 10; time += 1) {
      plan = look(changed(plan), asking());
      expect(said(plan).filter((line) => !line.startsWith("card"))).toEqual([]);
    }
    plan = look(changed(plan), glanceOf(endedRun("completed")));
    expect(said(plan).filter((line) => line.startsWith("post final"))).toHaveLength(3);
    for (let time = 0; time < 10; time += 1) {
      plan = look(changed(plan), glanceOf(endedRun("completed")));
      expect(said(plan).filter((line) => !line.startsWith("card"))).toEqual([]);
    }
  });

  test("once in each of three places is rewritten in all of them by one decision", () => {
    const asked = look(rows(...PLACES), asking());
    const decided = look(changed(asked), asking({ state: "decided", decision: "accept", decidedBy: "ada" }));
    const rewrites = decided.effects.filter((effect) => effect.kind === "rewrite");
    expect(rewrites).toHaveLength(3);
    for (const { message } of rewrites) expect(message.lines).toContain("Approved by ada");
    // Whoever was asked to confirm his own answer has nothing to press any more.
    const confirmations = decided.effects.filter((effect) => effect.kind === "rewrite_all");
    expect(confirmations.map(({ message }) => [message.title, message.buttons])).toEqual(
      PLACES.map(() => ["Approved by ada", undefined]),
    );
    expect(said(look(changed(decided), asking({ state: "decided", decision: "accept" })))).toEqual(
      PLACES.map(({ place }) => `card ${place}`),
    );
  });

  test("is rewritten too when the run no longer keeps that approval, or is itself gone", () => {
    const asked = look(rows({}), asking());
    expect(said(look(changed(asked), glanceOf(runningRun())))).toContain("rewrite discord:100 a1-1");
    expect(said(look(changed(asked), undefined))).toEqual([
      "rewrite discord:100 a1-1",
      "rewrite_all a1-1 ",
      "card discord:100",
    ]);
  });

  test("of an approval that was answered before anybody looked, is nothing", () => {
    expect(said(look(rows({}), asking({ state: "withdrawn" })))).toEqual([
      "thread discord:100",
      "card discord:100",
    ]);
  });

  test("tells whoever asked for the run, in that place only, and not of a cancel of his own", () => {
    const user = { id: "7", name: "ada" };
    const asked = rows({ user, via: "origin" }, { place: "discord:200" });
    const mentions = (plan: Plan) =>
      plan.effects.flatMap((effect) => (effect.kind === "post" ? [effect.message.mention] : []));
    expect(mentions(look(asked, asking()))).toEqual([["7"], undefined]);
    expect(mentions(look(asked, glanceOf(endedRun("blocked"))))).toEqual([["7"], undefined]);
    const canceled = (by: string): RunView =>
      runView(
        runRecord({
          status: "canceled",
          completedAt: BEGIN_MS,
          cancel: { state: "canceled", by, requestedAt: 1 },
        }),
      );
    expect(mentions(look(asked, glanceOf(canceled("discord:7 (ada)"))))).toEqual([undefined, undefined]);
    expect(mentions(look(asked, glanceOf(canceled("bob"))))).toEqual([["7"], undefined]);
  });
});

describe("a run that had long been over when somebody wanted to see it", () => {
  test("is shown without telling anybody that it ended", () => {
    const late = showingOf({ via: "present", shownAt: BEGIN_MS + 86_400_000, thread: false });
    const plan = look({ run: shownRun(), showings: [late] }, glanceOf(endedRun("completed")));
    expect(said(plan)).toEqual(["card discord:100"]);
  });

  test("but one that ended after it was asked to be shown tells it", () => {
    const plan = look(rows({ via: "present", thread: false }), glanceOf(endedRun("completed")));
    expect(said(plan)).toEqual(["card discord:100", "post final discord:100"]);
  });
});

describe("a card", () => {
  test("is drawn when the run has changed, and else only where it is due", () => {
    const seen = look(rows(...PLACES), glanceOf(runningRun()));
    expect(seen.drawn).toEqual(PLACES.map(({ place }) => place));
    const moved = look(seen, glanceOf(runningRun()), { due: ["discord:200"] });
    expect(said(moved)).toEqual(["card discord:200"]);
    expect(moved.effects[0]).toMatchObject({ urgent: false });
    expect(look(changed(seen), glanceOf(runningRun())).effects[0]).toMatchObject({ urgent: true });
  });

  test("of a run that changed while somebody looked is looked at again", () => {
    expect(look(rows({}), glanceOf(runningRun()), { again: true }).run.changed).toBe(true);
  });

  test("that waits says why at each look, although the run itself has not changed", () => {
    const sent = look(rows(...PLACES), glanceOf(queuedRun()));
    const known = look(sent, glanceOf(queuedRun()));
    expect(known.drawn).toEqual(PLACES.map(({ place }) => place));
  });

  test("that waits is looked at less and less, from its last change on", () => {
    let plan = look(rows({}), glanceOf(queuedRun()));
    for (const looks of [2, 3, 4]) {
      plan = look(plan, glanceOf(queuedRun()), { now: BEGIN_MS + looks });
      expect(plan.run.waiting).toEqual({ at: BEGIN_MS + looks, looks });
    }
    expect(look(changed(plan), glanceOf(queuedRun())).run.waiting?.looks).toBe(1);
  });
});

describe("an agent's items", () => {
  const page = (after: string, texts: string[], from: number, more = false): ItemPage => ({
    after,
    chunks: itemChunks(
      texts.map((text) => saidItem(text)),
      from,
    ),
    more,
  });

  test("are posted with the cursor that stands behind them, once", () => {
    const seen = look(rows({}), glanceOf(runningRun()), { page: page("0.0", ["one", "two"], 1) });
    expect(said(seen)).toEqual(["thread discord:100", "card discord:100", "post items discord:100 1.2 0"]);
    expect(seen.showings[0]?.cursor).toBe("1.2");
    const again = look(seen, glanceOf(runningRun()), { page: page("0.0", ["one", "two"], 1) });
    expect(said(again)).toEqual([]);
  });

  test("are not skipped by a place that is new since they were asked for", () => {
    const late = look(rows({ cursor: "1.5" }, { place: "discord:200" }), glanceOf(runningRun()), {
      page: page("1.5", ["six"], 6),
    });
    expect(late.showings.map(({ cursor }) => cursor)).toEqual(["1.6", undefined]);
  });

  test("stay out of a channel without a thread, unless it wants to see everything", () => {
    const inChannel = { thread: false };
    const one = { page: page("0.0", ["one"], 1) };
    expect(said(look(rows(inChannel), glanceOf(runningRun()), one))).toEqual(["card discord:100"]);
    const all = look(rows(inChannel), glanceOf(runningRun()), { ...one, settings: { output: "verbose" } });
    expect(said(all)).toContain("post items discord:100 1.1 0");
  });

  test("of which there are more have it looked at soon again, also when the run is over", () => {
    const plan = look(rows({}), glanceOf(endedRun("completed")), { page: page("0.0", ["one"], 1, true) });
    expect(plan.run).toMatchObject({ phase: "over", behind: true, changed: false });
    expect(plan.run).not.toHaveProperty("outputRead");
    const rest = look(plan, glanceOf(endedRun("completed")), { page: page("1.1", ["two"], 2) });
    expect(rest.run).not.toHaveProperty("behind");
    expect(rest.run.outputRead).toBe(0);
  });

  test("tell what the agent has used", () => {
    const counts = {
      totalTokens: 5,
      inputTokens: 3,
      cachedInputTokens: 0,
      outputTokens: 2,
      reasoningOutputTokens: 0,
    };
    const chunks = itemChunks([
      { type: "usage", id: "u", state: "completed", call: counts, thread: { ...counts, totalTokens: 1_500 } },
      commandItem("ls"),
    ]);
    const plan = look(rows({}), glanceOf(runningRun()), { page: { after: "0.0", chunks, more: false } });
    expect(plan.run.tokens).toBe(1_500);
    expect(plan.effects[1]).toMatchObject({
      message: {
        fields: expect.arrayContaining([{ name: "Tokens", value: "1,500" }]) as unknown,
      },
    });
    // Tokens without a budget are no budget.
    expect(JSON.stringify(plan.effects[1])).not.toContain("Budget");
  });
});

test("a thread's name tells two runs of a step apart, and fits, whatever the flow is called", () => {
  expect(threadName({ run: runningRun(1) }, { safe: false })).toBe("release · rebase · 01234567_1");
  fc.assert(
    fc.property(fc.string({ unit: "grapheme", maxLength: 300 }), (flowName) => {
      const name = threadName({ run: { ...runningRun(2), flowName } }, { safe: false });
      expect(name.length).toBeLessThanOrEqual(90);
      expect(name.endsWith(" · 01234567_2")).toBe(true);
    }),
  );
});

test("a thread is named after the first 60 characters of what was asked for, and its card quotes it", () => {
  const asked = `fix the tests ${"of the parser ".repeat(40)}`.trim();
  const plan = look(rows({}), glanceOf(runningRun(), { asked }));
  const [thread, card] = plan.effects;
  const name = thread?.kind === "thread" ? thread.name : "";
  expect(name).toMatch(/^fix the tests of the parser .{0,40}… · 01234567_1$/);
  expect(name.length).toBeLessThanOrEqual(60 + " · 01234567_1".length);
  const quoted = card?.kind === "card" ? card.message.lines?.[0] : undefined;
  expect(quoted).toMatch(/^“fix the tests of the parser .*…”$/);
});

test("a channel in safe mode neither quotes what was asked for nor names a thread after it", () => {
  const glance = glanceOf(runningRun(), { asked: "fix the tests" });
  const plan = look(rows({}), glance, { settings: { safe: true } });
  expect(JSON.stringify(plan.effects)).not.toContain("fix the tests");
});

describe("whatever happens to a run, looked at at any time", () => {
  /** The life of a run; looks see some of it, in this order. */
  const STATES: RunView[] = [
    queuedRun(),
    runningRun(),
    withApprovals(runningRun(), [approvalFixture({ id: "a" })]),
    withApprovals(runningRun(), [approvalFixture({ id: "a" }), approvalFixture({ id: "b" })]),
    withApprovals(runningRun(), [
      approvalFixture({ id: "a", state: "decided", decision: "accept", decidedBy: "ada" }),
      approvalFixture({ id: "b", state: "expired", decision: "decline" }),
    ]),
    runView(runRecord({ attempts: [attemptRecord({ status: "lost" })] })),
    endedRun("completed"),
    runView(runRecord({ status: "failed", completedAt: BEGIN_MS, error: { code: "lost", message: "lost" } })),
  ];

  test("each key is posted once, what was rewritten was posted, and an end is said once in each place", () => {
    const steps = fc.array(
      fc.record({
        state: fc.nat(STATES.length - 1),
        changed: fc.boolean(),
        gone: fc.integer({ min: 0, max: 9 }),
      }),
      { minLength: 1, maxLength: 20 },
    );
    fc.assert(
      fc.property(steps, (path) => {
        let known: Rows = rows(...PLACES);
        const posted = new Set<string>();
        const open = new Set<string>();
        for (const { state, changed: told, gone } of path.sort((a, b) => a.state - b.state)) {
          const view = STATES[state];
          if (view === undefined || (gone === 0 && known.run.phase === "unseen")) continue;
          const plan = look(told ? changed(known) : known, gone === 0 ? undefined : glanceOf(view));
          for (const effect of plan.effects) {
            if (effect.kind === "post") {
              expect(posted.has(effect.key), effect.key).toBe(false);
              posted.add(effect.key);
              if (effect.key.startsWith("approval")) open.add(effect.key);
            }
            if (effect.kind === "rewrite") expect(open.delete(effect.key), effect.key).toBe(true);
          }
          known = plan;
          // A deleted run does not come back.
          if (gone === 0) break;
        }
        const ends = [...posted].filter((key) => key.startsWith("final")).length;
        expect([0, PLACES.length]).toContain(ends);
        if (known.run.phase === "over" && ends > 0)
          expect([...open].every((key) => posted.has(key))).toBe(true);
      }),
    );
  });
});
