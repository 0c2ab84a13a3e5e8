/**
 * One attempt's socket against an edge that loses, withholds and refuses: what the journal holds arrives once and in
 * order (invariant 8), and every way out of it is taken once.
 */
import { describe, expect, test } from "vitest";
import { numbersOn, startFakeRunEdge } from "../support/fake-run-edge.ts";
import { ATTEMPT, claimedLink, END, handedOver, RESULT, startLink } from "../support/run-link-life.ts";

describe("an attempt", () => {
  test("is claimed, handed over in its order, and done with the acknowledged end", async () => {
    const life = await claimedLink();
    const { edge, journal, link } = life;
    expect(journal.attempts()).toEqual([ATTEMPT]);
    life.print("one\n");
    life.print("two\n");
    journal.appendResult(ATTEMPT, RESULT);
    link.journaled("urgent");
    life.print("three\n");
    life.end();
    await life.tells("done");
    expect(handedOver(edge)).toEqual(["one\n", "two\n", RESULT, "three\n", "end: exited"]);
    expect(edge.server.sockets[0]).toMatchObject({
      url: `/runs/${ATTEMPT.runId}/attach`,
      authorization: "Bearer token-of-the-test",
    });
    expect(edge.received[0]).toEqual({
      socket: 1,
      frame: { type: "claim", attempt: 1, runnerId: "runner_1", runnerName: "box" },
    });
    await life.until(() => edge.server.sockets[0]?.closed?.code === 1000);
    expect(journal.attempts()).toEqual([]);
    expect(life.told).toEqual(["claimed", "done"]);
    expect(life.losses).toBe(0);
  });

  test("that is refused was never begun", async () => {
    const edge = await startFakeRunEdge();
    edge.claims = { code: "not_claimable", message: "somebody else has it" };
    const life = await startLink(edge);
    await life.tells("refused not_claimable");
    await life.until(() => edge.server.sockets[0]?.closed?.code === 1000);
    expect(life.told).toEqual(["refused not_claimable"]);
    expect(life.journal.attempts()).toEqual([]);
    expect(edge.server.sockets).toHaveLength(1);
  });

  test("that the edge does not know ends at once", async () => {
    const edge = await startFakeRunEdge();
    edge.server.refuseWith = 404;
    edge.server.refusal = JSON.stringify({
      error: { code: "run_not_found", message: "there is no such run" },
    });
    const life = await startLink(edge, (journal) => {
      journal.appendOutput(ATTEMPT, "stdout", "nobody wants it", 1);
    });
    await life.tells("refused unknown_run");
    expect(life.journal.attempts()).toEqual([]);
    expect([edge.server.refusals, life.losses]).toEqual([1, 0]);
  });

  test.each([
    [401, ""],
    [503, ""],
    [404, ""],
    [404, "<html>please log in</html>"],
    [404, JSON.stringify({ error: { code: "no_route", message: "there is no such page" } })],
    [404, "null"],
  ])("is not given up when the edge, or a network in between, answers %i %s", async (status, refusal) => {
    const edge = await startFakeRunEdge();
    Object.assign(edge.server, { refuseWith: status, refusal });
    const life = await startLink(edge);
    await life.until(() => edge.server.refusals === 2);
    edge.server.refuseWith = undefined;
    await life.tells("claimed");
    expect(life.told).toEqual(["claimed"]);
  });
});

describe("the proof of the offer", () => {
  test("stands in each claim of the attempt, with one nonce", async () => {
    const edge = await startFakeRunEdge();
    edge.claims = "unanswered";
    const life = await startLink(edge, undefined, { proof: "the proof of the offer" });
    await life.until(() => edge.received.length === 1);
    edge.claims = "granted";
    edge.drop();
    await life.tells("claimed");
    const [first, second] = edge.received.map(({ frame }) => frame);
    expect(first).toMatchObject({ type: "claim", proof: "the proof of the offer" });
    expect(second).toEqual(first);
    expect(first).toHaveProperty("nonce", expect.stringMatching(/^[0-9a-f-]{36}$/));
  });

  test("is left out for an event object that still runs the program before: it would refuse the claim for ever", async () => {
    const edge = await startFakeRunEdge();
    edge.refuses = (frame) => ("proof" in frame ? "/proof is not known here" : undefined);
    const life = await startLink(edge, undefined, { proof: "the proof of the offer" });
    await life.tells("claimed");
    expect(edge.received.map(({ frame }) => "proof" in frame)).toEqual([true, false]);
    expect(edge.received[1]?.frame).not.toHaveProperty("nonce");
  });
});

test("a frame from the edge that is none does not end the agent: the attempt is resumed on a new connection", async () => {
  const life = await claimedLink();
  life.edge.say({ type: "ack", seq: "one" } as never);
  await life.until(() => life.edge.received.some(({ frame }) => frame.type === "resume"));
  life.end();
  await life.tells("done");
  expect(life.told).toEqual(["claimed", "done"]);
  expect(life.losses).toBe(1);
});

describe("a connection that is lost", () => {
  test("before the claim is answered costs nothing: it is claimed again, and started once", async () => {
    const edge = await startFakeRunEdge();
    edge.claims = "unanswered";
    const life = await startLink(edge);
    await life.until(() => edge.received.length === 1);
    edge.claims = "granted";
    edge.drop();
    await life.tells("claimed");
    life.end();
    await life.tells("done");
    expect(edge.received.map(({ socket, frame }) => [socket, frame.type])).toEqual([
      [1, "claim"],
      [2, "claim"],
      [2, "end"],
    ]);
    expect(life.told).toEqual(["claimed", "done"]);
  });

  test("with frames that never arrived: they are sent again, from the last acknowledged one", async () => {
    const life = await claimedLink();
    const { edge } = life;
    life.print("one\n");
    await life.until(() => edge.committed.length === 1);
    edge.takes = false;
    life.print("two\n");
    life.print("three\n");
    await life.until(() => numbersOn(edge, 1).length === 3);
    edge.takes = true;
    edge.drop();
    life.print("four\n");
    life.end();
    await life.tells("done");
    expect(handedOver(edge)).toEqual(["one\n", "two\n", "three\n", "four\n", "end: exited"]);
    expect(numbersOn(edge, 2)).toEqual([2, 3, 4, 5]);
    expect(edge.received.filter(({ frame }) => frame.type === "claim")).toHaveLength(1);
  });

  test("with acknowledgements that never arrived: what was committed is not sent again", async () => {
    const life = await claimedLink();
    const { edge } = life;
    edge.acknowledges = false;
    life.print("one\n");
    life.print("two\n");
    await life.until(() => edge.committed.length === 2);
    edge.acknowledges = true;
    edge.drop();
    life.print("three\n");
    life.end();
    await life.tells("done");
    expect(handedOver(edge)).toEqual(["one\n", "two\n", "three\n", "end: exited"]);
    expect(numbersOn(edge, 2)).toEqual([3, 4]);
  });

  test("with the acknowledgement of the end: the attempt is done on the next one, and sends nothing", async () => {
    const life = await claimedLink();
    const { edge } = life;
    edge.acknowledges = false;
    life.print("one\n");
    life.end();
    await life.until(() => edge.committed.length === 2);
    edge.drop();
    await life.tells("done");
    expect(numbersOn(edge, 2)).toEqual([]);
    expect(life.journal.attempts()).toEqual([]);
    expect(handedOver(edge)).toEqual(["one\n", "end: exited"]);
  });

  test("is not used again before the edge has said from where to go on", async () => {
    const life = await claimedLink();
    const { edge } = life;
    edge.takes = false;
    life.print("one\n");
    await life.until(() => numbersOn(edge, 1).length === 1);
    edge.takes = true;
    edge.resumes = "unanswered";
    edge.drop();
    await life.until(() => edge.received.at(-1)?.frame.type === "resume");
    life.print("two\n");
    life.end();
    edge.grant({ live: true, cancel: false, follow: false });
    await life.tells("done");
    expect(numbersOn(edge, 2)).toEqual([1, 2, 3]);
    expect(handedOver(edge)).toEqual(["one\n", "two\n", "end: exited"]);
  });

  test("again and again, at any point, changes nothing about what arrives", async () => {
    const life = await claimedLink();
    const { edge } = life;
    for (let round = 1; round <= 3; round += 1) {
      for (const text of ["a", "b", "c"]) life.print(`${round}${text}`);
      edge.takes = round !== 2;
      edge.acknowledges = round !== 3;
      const sent = edge.received.length;
      await life.until(() => edge.received.length > sent);
      edge.takes = true;
      edge.acknowledges = true;
      edge.drop();
      life.print(`${round}d`);
      await life.until(() => edge.server.sockets.length > round);
    }
    life.end();
    await life.tells("done");
    const printed = [1, 2, 3].flatMap((round) => ["a", "b", "c", "d"].map((text) => `${round}${text}`));
    expect(handedOver(edge)).toEqual([...printed, "end: exited"]);
    expect(life.told).toEqual(["claimed", "done"]);
  });
});

describe("an attempt of a former life", () => {
  test("is resumed with its lease, and what the journal holds is handed over", async () => {
    const life = await startLink(undefined, (journal) => {
      journal.appendOutput(ATTEMPT, "stdout", "before\n", 1);
      journal.appendEnd(ATTEMPT, { ...END, reason: "abandoned" });
    });
    await life.tells("done");
    expect(life.edge.received[0]?.frame).toEqual({ type: "resume", attempt: 1, lease: ATTEMPT.lease });
    expect(handedOver(life.edge)).toEqual(["before\n", "end: abandoned"]);
    expect(life.told).toEqual(["done"]);
  });

  test("that was handed over without anybody hearing of it is done, and sends nothing", async () => {
    const edge = await startFakeRunEdge();
    edge.committed.push({ seq: 1, what: "before\n" }, { seq: 2, what: "end: exited" });
    const life = await startLink(edge, (journal) => {
      journal.appendOutput(ATTEMPT, "stdout", "before\n", 1);
      journal.appendEnd(ATTEMPT, END);
    });
    await life.tells("done");
    expect(numbersOn(edge, 1)).toEqual([]);
    expect(life.journal.attempts()).toEqual([]);
  });

  test("that sent what it could not write down: its end comes behind what the edge knows, and is not taken for handed over", async () => {
    const edge = await startFakeRunEdge();
    edge.committed.push(
      ...["before\n", "held\n", { status: "completed" }].map((what, n) => ({ seq: n + 1, what })),
    );
    const life = await startLink(edge, (journal) => {
      journal.appendOutput(ATTEMPT, "stdout", "before\n", 1);
      journal.appendEnd(ATTEMPT, { ...END, reason: "abandoned" });
    });
    await life.tells("done");
    expect(edge.faults).toEqual([]);
    expect(numbersOn(edge, 1)).toEqual([4]);
    expect(edge.committed.at(-1)).toEqual({ seq: 4, what: "end: abandoned" });
  });

  test("inngest#2778: whose lease is unknown at the edge is stopped and forgotten", async () => {
    const edge = await startFakeRunEdge();
    edge.resumes = { code: "unknown_lease", message: "no such lease" };
    const life = await startLink(edge, (journal) => {
      journal.appendOutput(ATTEMPT, "stdout", "before\n", 1);
    });
    await life.tells("refused unknown_lease");
    expect(life.told).toEqual(["stop abandoned", "refused unknown_lease"]);
    expect(life.journal.attempts()).toEqual([]);
  });
});

describe("a lease that is lost (invariant 4)", () => {
  test("while the runner was away stops the step, and the rest is handed over as evidence", async () => {
    const life = await claimedLink();
    const { edge } = life;
    edge.resumes = { live: false, cancel: false, follow: false };
    edge.drop();
    await life.tells("stop abandoned");
    life.print("evidence\n");
    life.end();
    await life.tells("done");
    expect(handedOver(edge)).toEqual(["evidence\n", "end: exited"]);
    expect(life.told).toEqual(["claimed", "stop abandoned", "done"]);
  });

  test("while it is connected does the same", async () => {
    const life = await claimedLink();
    life.edge.say({ type: "lease_lost", reason: "out of time" });
    await life.tells("stop abandoned");
    life.end();
    await life.tells("done");
    expect(handedOver(life.edge)).toEqual(["end: exited"]);
  });
});

describe("a cancel", () => {
  test("stops the step, and the survivors are told, on a new connection again", async () => {
    const life = await claimedLink();
    const { edge, link } = life;
    edge.say({ type: "cancel", reason: "canceled by Ada" });
    await life.tells("stop canceled");
    link.signalled([5, 6]);
    await life.until(() => edge.received.length === 2);
    edge.drop();
    await life.until(() => edge.received.length === 4);
    expect(edge.received.slice(1).map(({ socket, frame }) => [socket, frame])).toEqual([
      [1, { type: "canceling", survivors: [5, 6] }],
      [2, { type: "resume", attempt: 1, lease: ATTEMPT.lease }],
      [2, { type: "canceling", survivors: [5, 6] }],
    ]);
  });

  test("that came while the runner was away is heard of with the resume", async () => {
    const life = await claimedLink();
    life.edge.resumes = { live: true, cancel: true, follow: false };
    life.edge.drop();
    await life.tells("stop canceled");
  });
});
