/**
 * Updates that Telegram brings again: cut off at any point, by a crash or by a failure, they are done when they come again; what
 * was dealt with is not done twice (chat-access/rules, A3).
 */
import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, test } from "vitest";
import { call, eventOf, expectJson, runOf } from "./support/api.ts";
import { RunLink } from "./support/fake-runner.ts";
import { deployStep } from "./support/flow-catalog.ts";
import {
  auditOf,
  BOT,
  boundGroup,
  message,
  person,
  post,
  press,
  saidIn,
  SECRETS,
  take,
  type Chat,
  type Person,
} from "./support/telegram.ts";
import { action, askLeave, codexOfFile, runAskedBy } from "./support/telegram-runs.ts";

codexOfFile({ budget: { tokens: 1_000 } });

type Namespace = "EVENTS" | "CHAT_OUTBOXES" | "CHAT_ACCESS";
type Methods = Record<string, (...given: unknown[]) => Promise<unknown>>;

/** Calls by which something becomes of an update. */
const WRITING = ["ingest", "say", "raiseBudget", "replay", "cancel", "decide", "post", "admit", "conclude"];

/** An edge that dies at such a call: before the object has heard it, or after it was done. */
function dyingAt(
  namespace: Namespace,
  method: string | undefined,
  when: "before" | "after",
): Partial<typeof env> {
  const isFatal = (name: string): boolean =>
    method === undefined ? WRITING.includes(name) : name === method;
  const getByName = (id: string): Methods => {
    const stub = env[namespace].getByName(id) as unknown as Methods;
    return new Proxy(
      {},
      {
        get:
          (_target, name: string) =>
          async (...given: unknown[]) => {
            const done = when === "before" && isFatal(name) ? undefined : await stub[name]?.(...given);
            if (isFatal(name)) throw new Error(`died ${when} ${name}`);
            return done;
          },
      },
    );
  };
  return {
    [namespace]: { getByName },
    TELEGRAM_BOT_TOKEN: `${BOT}:token-of-the-test`,
    TELEGRAM_WEBHOOK_SECRETS: SECRETS.new,
  };
}

const POINTS = [
  ["before it was admitted", "CHAT_ACCESS", "admit", "before"],
  ["when it was admitted", "CHAT_ACCESS", "admit", "after"],
  ["before it was done", "EVENTS", undefined, "before"],
  ["when it was done", "EVENTS", undefined, "after"],
  ["before its answer was stored", "CHAT_OUTBOXES", "post", "before"],
  ["when its answer was stored", "CHAT_OUTBOXES", "post", "after"],
  ["before it was noted as done", "CHAT_ACCESS", "conclude", "before"],
] as const;

let group: Chat;
let ada: Person;
let runId: string;
let link: RunLink;
let eventId: string;

beforeEach(async () => {
  ({ group } = await boundGroup());
  ada = await person("ada", "run:start", "run:reply", "run:approve");
  const asked = message(group, ada, "/ask first");
  await take(asked);
  runId = await runAskedBy(ada);
  eventId = `telegram:${BOT}:${asked.update_id}`;
  link = await RunLink.claim(runId, 1, "runner-a");
});

interface Act {
  update: () => Promise<{ update_id: number }> | { update_id: number };
  /** How often it was done. */
  done: (updateId: number) => Promise<number>;
  /** It is answered by a message, and not by what the response says. */
  posts: boolean;
}

const runsOf = async (id: string): Promise<number> => (await eventOf(id)).runs.length;

const ACTS: Record<string, Act> = {
  "a prompt": {
    update: () => message(group, ada, "/ask do it"),
    done: (updateId) => runsOf(`telegram:${BOT}:${updateId}`),
    posts: false,
  },
  "an event": {
    update: () => message(group, ada, '/dispatch codex.ask {"prompt":"do it"}'),
    done: (updateId) => runsOf(`telegram:${BOT}:${updateId}`),
    posts: false,
  },
  "a word to a run": {
    update: () => message(group, ada, `/say ${runId} use tabs`),
    done: async () => (await runOf(runId)).messages?.length ?? 0,
    posts: false,
  },
  "more of a budget": {
    update: () => message(group, ada, `/budget ${runId} tokens=100`),
    done: async () => ((await runOf(runId)).budget?.tokens ?? 0) / 100 - 10,
    posts: true,
  },
  "a replay": {
    update: () => message(group, ada, `/replay ${runId}`),
    done: async () => (await runsOf(eventId)) - 1,
    posts: false,
  },
  "a stop": {
    update: () => message(group, ada, `/stop ${runId}`),
    done: async () => ((await runOf(runId)).cancel === undefined ? 0 : 1),
    posts: true,
  },
  "a press of Approve": {
    update: async () => {
      await askLeave(link);
      return press(group, ada, action("approve", runId, "a1-1"));
    },
    done: async () => ((await runOf(runId)).approvals?.[0]?.state === "decided" ? 1 : 0),
    posts: false,
  },
};

describe.each(Object.entries(ACTS))("%s", (_what, act) => {
  test.each(POINTS)("that is cut off %s is done when it comes again, once", async (_when, ...point) => {
    const update = await act.update();
    const said = (await saidIn(group)).length;
    const expected = point[0] === "CHAT_OUTBOXES" && !act.posts ? 200 : 503;
    expect((await post(update, { settings: dyingAt(...point) })).status).toBe(expected);
    await take(update);
    await take(update);
    expect(await act.done(update.update_id)).toBe(1);
    expect((await saidIn(group)).length - said).toBe(act.posts ? 1 : 0);
    const verdicts = (await auditOf(ada))
      .slice(1)
      .map(({ verdict, outcome }) => [verdict, outcome !== undefined]);
    expect(verdicts.at(-1)).toEqual(["replayed", false]);
    expect(verdicts.filter(([verdict, told]) => verdict === "allowed" && told === true)).toHaveLength(1);
  });
});

test("one that comes twice at the same moment, since the first took too long, is done once", async () => {
  for (const text of [
    `/say ${runId} use tabs`,
    `/budget ${runId} tokens=100`,
    `/replay ${runId}`,
    "/ask do it",
  ]) {
    const update = message(group, ada, text);
    await Promise.all([take(update), take(update), take(update)]);
  }
  const run = await runOf(runId);
  expect([run.messages?.length, run.budget?.tokens, await runsOf(eventId)]).toEqual([1, 1_100, 2]);
});

test("one that fails again when it comes again is answered with that, and does not come for ever", async () => {
  const update = message(group, ada, `/stop ${runId}`);
  const settings = dyingAt("EVENTS", "cancel", "before");
  expect((await post(update, { settings })).status).toBe(503);
  const said = (await saidIn(group)).length;
  expect((await post(update, { settings })).status).toBe(200);
  expect((await saidIn(group)).slice(said).map(({ title }) => title)).toEqual([
    "The edge failed while it did this",
  ]);
  expect((await auditOf(ada)).at(-1)?.outcome).toMatch(/^failed/);
  expect(await take(update)).toEqual({});
  expect((await runOf(runId)).cancel).toBeUndefined();
});

test("one that was denied is denied again, and told, when nobody could be told before", async () => {
  const eve = await person("eve");
  const update = message(group, eve, "/ask do it");
  const said = (await saidIn(group)).length;
  const settings = dyingAt("CHAT_OUTBOXES", "post", "before");
  expect((await post(update, { settings })).status).toBe(503);
  await take(update);
  await take(update);
  expect((await saidIn(group)).slice(said).map(({ title }) => title)).toEqual(["You may not do this: /ask"]);
});

test("more of a budget for a run that has ended at it starts one new run, however often it comes", async () => {
  await link.complete({
    status: "needs_intervention",
    message: "used up",
    artifacts: { threadId: "t1", budget: { exceeded: "tokens", used: { tokens: 1_000 } } },
  });
  const update = message(group, ada, `/budget ${runId} tokens=100`);
  expect((await post(update, { settings: dyingAt("CHAT_ACCESS", "conclude", "before") })).status).toBe(503);
  await take(update);
  expect(await runsOf(eventId)).toBe(2);
  const next = runId.replace(/_1$/, "_2");
  expect((await runOf(next)).budget).toEqual({ tokens: 1_100 });
  const answers = (await saidIn(group)).filter(
    ({ lines }) => lines?.some((line) => line.includes(next)) === true,
  );
  expect(answers.map(({ title }) => title)).toEqual([expect.stringMatching(/^Started /)]);
});

test("an event that had matched nothing is replayed once", async () => {
  const id = crypto.randomUUID();
  const type = `own.${id}`;
  await expectJson(call("POST", "/events", { body: { id, type, payload: {} } }), 202);
  deployStep({ trigger: { type } });
  const update = message(group, ada, `/replay ${id}`);
  expect((await post(update, { settings: dyingAt("CHAT_ACCESS", "conclude", "before") })).status).toBe(503);
  await take(update);
  expect(await runsOf(id)).toBe(1);
});
