/** Which runner is offered which run (P1 to P4 of the pool's rules), and why a run waits. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { RunRoute } from "../../contract/runner-link.ts";
import {
  assign,
  waitingReason,
  waitsBefore,
  type Assignment,
  type HeldRun,
  type RunnerState,
} from "../../durable-objects/runner-pool/rules.ts";

function route(change: Partial<RunRoute> = {}): RunRoute {
  return {
    runId: "run_0123456789abcdef_1",
    attempt: 1,
    pool: "default",
    flow: { name: "release", version: 1, digest: "sha256:1" },
    step: "rebase",
    labels: [],
    priority: 0,
    queuedAt: 0,
    ...change,
  };
}

function runner(change: Partial<RunnerState> = {}): RunnerState {
  return {
    runnerId: "runner_1",
    name: "box",
    labels: [],
    capacity: 1,
    draining: false,
    paused: false,
    connected: true,
    flows: [route().flow],
    held: 0,
    ...change,
  };
}

const label = fc.constantFrom("linux", "gpu");
const flow = fc.constantFrom(
  { name: "release", version: 1, digest: "sha256:1" },
  { name: "release", version: 1, digest: "sha256:2" },
  { name: "triage", version: 1, digest: "sha256:1" },
);
const key = fc.constantFrom("a", "b");
/** Key and limit belong together, as in one step. */
const LIMITS: Record<string, number> = { a: 1, b: 3 };

const backlog = fc
  .array(
    fc.record({
      labels: fc.uniqueArray(label),
      priority: fc.integer({ min: -1, max: 1 }),
      queuedAt: fc.nat(3),
      flow,
      key: fc.option(key, { nil: undefined }),
    }),
    { maxLength: 25 },
  )
  .map((given) =>
    given
      .map(({ key: its, ...rest }, n) =>
        route({
          ...rest,
          runId: `run_0123456789abcdef_${n + 1}`,
          ...(its === undefined ? {} : { concurrency: { key: its, limit: LIMITS[its] ?? 1 } }),
        }),
      )
      .sort(waitsBefore),
  );
const runners = fc
  .array(
    fc.record({
      labels: fc.uniqueArray(label),
      capacity: fc.nat(4),
      draining: fc.boolean(),
      paused: fc.boolean(),
      connected: fc.boolean(),
      flows: fc.uniqueArray(flow, { selector: ({ name }) => name }),
      held: fc.nat(5),
    }),
    { maxLength: 5 },
  )
  .map((given) => given.map((one, n) => runner({ ...one, runnerId: `runner_${n}`, name: `box ${n}` })));
const held = fc.array(
  fc.record({ runId: fc.constant("run_held"), concurrencyKey: fc.option(key, { nil: undefined }) }),
  {
    maxLength: 3,
  },
);

function fits(one: RunRoute, by: RunnerState): boolean {
  return (
    by.connected &&
    !by.draining &&
    !by.paused &&
    one.labels.every((wanted) => by.labels.includes(wanted)) &&
    by.flows.some(({ name, digest }) => name === one.flow.name && digest === one.flow.digest)
  );
}

function loadOf(by: RunnerState, assigned: readonly Assignment[]): number {
  return by.held + assigned.filter(({ runnerId }) => runnerId === by.runnerId).length;
}

function holdersOf(its: string, alreadyHeld: readonly HeldRun[], assigned: readonly Assignment[]): number {
  return (
    alreadyHeld.filter(({ concurrencyKey }) => concurrencyKey === its).length +
    assigned.filter((one) => one.route.concurrency?.key === its).length
  );
}

/** Walks through the offers in their order, with what was offered before each. */
function check(
  examine: (offer: Assignment, earlier: Assignment[], by: RunnerState, taken: readonly HeldRun[]) => void,
): void {
  fc.assert(
    fc.property(backlog, runners, held, (waiting, boxes, taken) => {
      const offers = assign(waiting, boxes, taken);
      offers.forEach((offer, n) => {
        const by = boxes.find(({ runnerId }) => runnerId === offer.runnerId);
        if (by === undefined) throw new Error(`${offer.runnerId} is no runner of the pool`);
        examine(offer, offers.slice(0, n), by, taken);
      });
    }),
    { numRuns: 500 },
  );
}

describe("an offer", () => {
  test("goes to a runner with room, its labels and exactly its digest (P2, P4)", () => {
    check((offer, earlier, by) => {
      expect(fits(offer.route, by)).toBe(true);
      expect(loadOf(by, earlier)).toBeLessThan(by.capacity);
    });
  });

  test("never takes a concurrency key over its limit (P3)", () => {
    check((offer, earlier, _by, taken) => {
      const { concurrency } = offer.route;
      if (concurrency !== undefined)
        expect(holdersOf(concurrency.key, taken, earlier)).toBeLessThan(concurrency.limit);
    });
  });

  test("is made once for a run", () => {
    check((offer, earlier) => {
      expect(earlier.map((one) => one.route.runId)).not.toContain(offer.route.runId);
    });
  });

  test("goes to the runner with the smallest share of its capacity in use", () => {
    fc.assert(
      fc.property(backlog, runners, held, (waiting, boxes, taken) => {
        const offers = assign(waiting, boxes, taken);
        offers.forEach((offer, n) => {
          const share = (by: RunnerState): number => loadOf(by, offers.slice(0, n)) / by.capacity;
          const open = boxes.filter((by) => fits(offer.route, by) && share(by) < 1);
          const chosen = open.find(({ runnerId }) => runnerId === offer.runnerId);
          expect(chosen && share(chosen)).toBe(Math.min(...open.map(share)));
        });
      }),
    );
  });
});

test("a runner with a free place is never called busy", () => {
  fc.assert(
    fc.property(backlog, runners, held, (waiting, boxes, taken) => {
      for (const one of waiting) {
        const { code } = waitingReason(one, boxes, taken, one.flow);
        const free = boxes.some((by) => fits(one, by) && by.trouble === undefined && by.held < by.capacity);
        if (code === "busy") expect(free, `${one.runId} could be offered`).toBe(false);
      }
    }),
    { numRuns: 500 },
  );
});

describe("the backlog", () => {
  test("is ordered by priority, then by age, and the order is total (P1)", () => {
    fc.assert(
      fc.property(backlog, (sorted) => {
        const numbers = sorted.map(({ priority, queuedAt }) => [-priority, queuedAt] as const);
        const expected = [...numbers].sort(([p, q], [r, s]) => p - r || q - s);
        expect(numbers).toEqual(expected);
        sorted.forEach((one, n) => {
          for (const later of sorted.slice(n + 1)) expect(waitsBefore(one, later)).toBeLessThan(0);
        });
      }),
    );
  });

  test("is never skipped: whoever waits has no fitting runner with room, or its key is full", () => {
    fc.assert(
      fc.property(backlog, runners, held, (waiting, boxes, taken) => {
        const offers = assign(waiting, boxes, taken);
        const offered = new Set(offers.map((offer) => offer.route.runId));
        for (const one of waiting) {
          if (offered.has(one.runId)) continue;
          const room = boxes.some((by) => fits(one, by) && loadOf(by, offers) < by.capacity);
          const { concurrency } = one;
          const free =
            concurrency === undefined || holdersOf(concurrency.key, taken, offers) < concurrency.limit;
          expect(room && free, `${one.runId} waits for nothing`).toBe(false);
        }
      }),
      { numRuns: 500 },
    );
  });

  test("is served from its front: of two runs that want the same, the one behind never goes alone (P1)", () => {
    fc.assert(
      fc.property(backlog, runners, held, (waiting, boxes, taken) => {
        const offered = new Set(assign(waiting, boxes, taken).map((offer) => offer.route.runId));
        const wants = ({ labels, flow: its, concurrency }: RunRoute): string =>
          JSON.stringify([[...labels].sort(), its, concurrency]);
        waiting.forEach((one, n) => {
          if (offered.has(one.runId)) return;
          for (const behind of waiting.slice(n + 1))
            if (wants(behind) === wants(one)) expect(offered.has(behind.runId)).toBe(false);
        });
      }),
      { numRuns: 500 },
    );
  });
});

describe("a run waits", () => {
  const busy = runner({ held: 1 });
  const keyed = route({ concurrency: { key: "codex", limit: 1 } });
  const holder: HeldRun = { runId: "run_holder", concurrencyKey: "codex" };

  test.each<[string, string, RunRoute, RunnerState[], HeldRun[], string[]]>([
    ["no runner at all", "no_runner", route(), [], [], ["pool default"]],
    [
      "only runners that are away",
      "no_runner",
      route(),
      [runner({ connected: false })],
      [],
      ["pool default"],
    ],
    [
      "no runner with its labels",
      "no_labels",
      route({ labels: ["linux", "gpu"] }),
      [runner({ labels: ["linux"] }), runner({ labels: ["linux", "gpu"], connected: false })],
      [],
      ["linux, gpu"],
    ],
    [
      "another checkout",
      "digest_differs",
      route(),
      [runner({ flows: [{ name: "release", version: 1, digest: "sha256:2" }] })],
      [],
      ["release", "sha256:1", "box has sha256:2"],
    ],
    [
      "a checkout without the flow",
      "digest_differs",
      route(),
      [runner({ flows: [] })],
      [],
      ["box has no such flow"],
    ],
    [
      "only runners in trouble",
      "runner_trouble",
      route(),
      [runner({ capacity: 0, trouble: "its disk is full" }), runner({ draining: true })],
      [],
      ["box can take nothing", "its disk is full"],
    ],
    [
      "only draining runners",
      "draining",
      route(),
      [runner({ draining: true }), runner({ flows: [] })],
      [],
      ["box is draining"],
    ],
    [
      "only paused runners",
      "paused",
      route(),
      [runner({ paused: true }), runner({ draining: true, name: "other" })],
      [],
      ["box is paused", "codex-flow runners resume"],
    ],
    ["its concurrency key", "concurrency", keyed, [busy], [holder], ['"codex"', "run_holder"]],
    ["a busy runner", "busy", route(), [busy], [], ["box 1/1"]],
    [
      "a busy runner, its key being free",
      "busy",
      keyed,
      [busy],
      [{ ...holder, concurrencyKey: "x" }],
      ["box 1/1"],
    ],
  ])("for %s: %s", (_why, code, one, boxes, taken, says) => {
    expect(assign([one], boxes, taken)).toEqual([]);
    const reason = waitingReason(one, boxes, taken, one.flow);
    expect(reason.code).toBe(code);
    for (const text of says) expect(reason.message).toContain(text);
  });

  test("for a version that is not deployed any more: it names the digests, and the two commands that help", () => {
    const one = route({ flow: { name: "hello", version: 2, digest: "sha256:old" }, eventId: "it's:1" });
    const box = runner({ flows: [{ name: "hello", version: 3, digest: "sha256:new" }] });
    const reason = waitingReason(one, [box], [], { version: 3, digest: "sha256:new" });
    expect(reason.code).toBe("not_deployed");
    expect(reason.message).toContain("belongs to version 2 (sha256:old) of flow hello");
    expect(reason.message).toContain("deployed is version 3 (sha256:new), box has sha256:new");
    expect(reason.message).toContain(`codex-flow runs cancel ${one.runId}`);
    expect(reason.message).toContain(String.raw`codex-flow events replay 'it'\''s:1'`);
    expect(waitingReason(one, [box], [], undefined).message).toContain(
      "no version of flow hello is deployed",
    );
    expect(waitingReason({ ...one, eventId: "--url=x" }, [box], [], undefined).message).toContain(
      "events replay -- --url=x",
    );
  });

  test("for the widest reason first, and always for one that is true", () => {
    fc.assert(
      fc.property(backlog, runners, held, (waiting, boxes, taken) => {
        const connected = boxes.filter((by) => by.connected);
        const labelled = (one: RunRoute): RunnerState[] =>
          connected.filter((by) => one.labels.every((wanted) => by.labels.includes(wanted)));
        for (const one of waiting) {
          const { code } = waitingReason(one, boxes, taken, one.flow);
          if (connected.length === 0) expect(code).toBe("no_runner");
          else if (labelled(one).length === 0) expect(code).toBe("no_labels");
          else if (!labelled(one).some((by) => fits(one, { ...by, draining: false, paused: false })))
            expect(code).toBe("digest_differs");
          else if (!boxes.some((by) => fits(one, { ...by, paused: false }))) expect(code).toBe("draining");
          else if (!boxes.some((by) => fits(one, by))) expect(code).toBe("paused");
          else expect(["concurrency", "busy", "offered_next"]).toContain(code);
        }
      }),
    );
  });
});
