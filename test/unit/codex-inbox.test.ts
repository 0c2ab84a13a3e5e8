/** What people say to a codex step, and when: nothing is lost, and nothing is called what it was not. */
import { expect, test } from "vitest";
import { Inbox } from "../../runner-agent/codex/step/inbox.ts";
import { codexBox, startCodexStep } from "../support/codex-step-life.ts";
import { structured } from "../support/fake-model/answers.ts";

const said = (id: string): { id: string; text: string; by: string } => ({
  id,
  text: `text ${id}`,
  by: "Ada",
});

/** An inbox whose active turn takes what `takes` says; `fates` gathers what was told. */
function inbox(takes: (id: string) => boolean | Promise<boolean>): {
  inbox: Inbox;
  fates: Map<string, string>;
  say(id: string): void;
} {
  const made = new Inbox(({ id }) => Promise.resolve(takes(id)));
  const fates = new Map<string, string>();
  const say = (id: string): void => {
    void made.hear(said(id)).then((fate) => fates.set(id, fate));
  };
  return { inbox: made, fates, say };
}

/** All that follows from what was just done has happened. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("a message that Codex has accepted is steered once the turn shows it, not before", async () => {
  const { inbox: box, fates, say } = inbox(() => true);
  say("m1");
  await settled();
  expect(fates).toEqual(new Map());
  box.shown("m1");
  expect(await box.next()).toBeUndefined();
  expect(fates).toEqual(new Map([["m1", "steered"]]));
});

test("one that came behind the turn's last look, accepted or not, begins the next turn, and is queued when that has begun", async () => {
  const { inbox: box, fates, say } = inbox((id) => id === "m1");
  for (const id of ["m1", "m2"]) say(id);
  const next = await box.next();
  expect(next?.text).toBe("text m1\n\ntext m2");
  expect(fates).toEqual(new Map());
  next?.begun();
  await settled();
  expect(fates).toEqual(
    new Map([
      ["m1", "queued"],
      ["m2", "queued"],
    ]),
  );
  box.shown("m1");
  expect(await box.next()).toBeUndefined();
});

test("one that Codex has not answered for when the turn ends is waited for", async () => {
  const answer = Promise.withResolvers<boolean>();
  const { inbox: box, say } = inbox(() => answer.promise);
  say("m1");
  const next = box.next();
  say("m2");
  answer.resolve(true);
  expect((await next)?.text).toBe("text m1\n\ntext m2");
});

test("one that comes when no further turn begins is told nothing", async () => {
  const { inbox: box, fates, say } = inbox(() => false);
  expect(await box.next()).toBeUndefined();
  say("m1");
  await settled();
  expect(fates).toEqual(new Map());
});

test("over the real Codex: said as the turn is ending, it is in a request of the model, or nothing is told of it", async () => {
  const at = await codexBox([{ answers: Array.from({ length: 40 }, () => DONE) }]);
  const moments = ["user", "agent", "usage", "result"] as const;
  for (const moment of moments) {
    const life = await startCodexStep(at, { template: "---\napproval_policy: never\n---\nDo it." });
    await life.until(() =>
      moment === "result"
        ? life.results.length > 0
        : life.items.some((item) => item.type === moment || ("role" in item && item.role === moment)),
    );
    const text = `said at ${moment}`;
    let fate = "pending";
    void life.watchers.say(text).then((told) => (fate = told));
    expect((await life.step.ended).reason).toBe("exited");
    await settled();
    const seen = at.model.requests.some(({ input }) => JSON.stringify(input).includes(text));
    expect({ moment, seen }).toEqual({ moment, seen: fate !== "pending" });
    if (moment === "result") expect(fate).toBe("pending");
  }
});

const DONE = structured({ status: "completed", message: "done" });
