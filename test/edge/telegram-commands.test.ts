/** Commands in Telegram, each on a real run: what becomes of the run, and what is said of it. */
import { beforeEach, expect, test } from "vitest";
import { eventOf, runOf, until } from "./support/api.ts";
import type { RunLink } from "./support/fake-runner.ts";
import {
  auditOf,
  boundGroup,
  lastWords,
  message,
  person,
  saidIn,
  take,
  type Chat,
  type Person,
} from "./support/telegram.ts";
import { codexOfFile, startedRun } from "./support/telegram-runs.ts";

codexOfFile({ budget: { tokens: 1_000 } });

let group: Chat;
let ada: Person;
let runId: string;
let link: RunLink;

beforeEach(async () => {
  ({ group } = await boundGroup());
  ada = await person("ada", "run:read", "run:start", "run:reply", "run:approve");
  ({ runId, link } = await startedRun(group));
});

const say = async (text: string): Promise<Record<string, unknown>> => take(message(group, ada, text));
const MARK = { method: "setMessageReaction" };

test.each(["say", "steer"])("/%s reaches the run, by whom, and is marked as heard", async (name) => {
  expect(await say(`/${name} ${runId} use tabs,\nnot spaces`)).toMatchObject(MARK);
  const by = `telegram:${ada.id} (ada)`;
  expect(await link.next("message")).toMatchObject({ text: "use tabs,\nnot spaces", by });
  expect((await auditOf(ada)).at(-1)).toMatchObject({ act: `/${name}`, subject: runId, outcome: "said m1" });
  await say(`/${name} ${runId}`);
  expect(await lastWords(group)).toBe("Say something");
  await link.complete();
  await say(`/${name} ${runId} too late`);
  expect(await lastWords(group)).toContain("has ended");
});

test("/stop asks the runner to end the run, and says so until it has", async () => {
  await say(`/stop ${runId}`);
  expect(await lastWords(group)).toContain("Stopping");
  expect(await link.next("cancel")).toBeDefined();
  expect((await runOf(runId)).cancel).toMatchObject({ by: `telegram:${ada.id} (ada)` });
  await say(`/stop ${runId} now`);
  expect(await lastWords(group)).toContain("no id of a run");
});

test("/logs shows the end of what the run has printed", async () => {
  await say(`/logs ${runId}`);
  expect(await lastWords(group)).toContain("printed nothing");
  await link.print("first\nlast line\n");
  await say(`/logs ${runId}`);
  expect((await saidIn(group)).at(-1)?.code?.text).toContain("last line");
});

test("/events lists those of a type, and none of others", async () => {
  const { eventId } = await runOf(runId);
  await until(async () => {
    await say("/events codex.ask");
    expect(await lastWords(group)).toContain(eventId);
  });
  await say("/events no.such.type");
  expect(await lastWords(group)).not.toContain(eventId);
});

test("/replay makes a new run of a run's event, or of an event that is named", async () => {
  const { eventId } = await runOf(runId);
  expect(await say(`/replay ${runId}`)).toMatchObject(MARK);
  expect(await say(`/replay ${eventId}`)).toMatchObject(MARK);
  const { runs } = await eventOf(eventId);
  expect(runs.map(({ replayOf }) => replayOf !== undefined)).toEqual([true, true, false]);
  expect((await auditOf(ada)).at(-1)?.outcome).toBe(`started ${runs[0]?.id ?? ""}`);
  await say("/replay no-such-event");
  expect(await lastWords(group)).toContain("event not found");
});

test("/budget adds to what the run may use, in its units, and to nothing that has no limit", async () => {
  await say(`/budget ${runId} tokens=500`);
  expect(await lastWords(group)).toContain("Added 500 tokens");
  expect((await runOf(runId)).budget).toEqual({ tokens: 1_500 });
  await say(`/budget ${runId} usd=2`);
  expect(await lastWords(group)).toContain("no budget of usd");
  await say(`/budget ${runId}`);
  expect((await runOf(runId)).budget).toEqual({ tokens: 1_500 });
});
