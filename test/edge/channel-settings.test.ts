/** Settings of a channel: what was said is kept, whatever its letters; the outbox learns of it, and learns it again after a failure. */
import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import type { ChatPlace } from "../../contract/chat/place.ts";
import {
  changeChannel,
  glanceAtSettings,
  guardChannel,
  readSettings,
} from "../../durable-objects/channel-settings/client.ts";
import { NO_SETTINGS } from "../../durable-objects/channel-settings/settings.ts";
import type { Env } from "../../worker/env.ts";

const edge = env as unknown as Env;
let next = 1_000;
const place = (thread?: string): ChatPlace => ({
  platform: "discord",
  channel: String((next += 1)),
  ...(thread === undefined ? {} : { thread }),
});

test("a channel that nobody has said anything about has the defaults", async () => {
  expect(await readSettings(edge, place())).toEqual(NO_SETTINGS);
});

test("what was set in a thread belongs to its channel and survives letters of any script", async () => {
  const here = place("77");
  const answer = await changeChannel(edge, here, { project: "größe — 日本 ✓", follow: { flows: ["*"] } });
  expect(answer).toMatchObject({ kind: "set", settings: { project: "größe — 日本 ✓", flows: ["*"] } });
  const { thread: _thread, ...channel } = here;
  expect(await glanceAtSettings(edge, channel)).toMatchObject({ project: "größe — 日本 ✓", followsRev: 1 });
});

test("null takes a project away, and an unfollowed flow is not followed", async () => {
  const here = place();
  await changeChannel(edge, here, { project: "a", follow: { flows: ["x", "y"], types: ["t"] } });
  await changeChannel(edge, here, { project: null, unfollow: { flows: ["x"] } });
  const settings = await readSettings(edge, here);
  expect(settings).not.toHaveProperty("project");
  expect(settings).toMatchObject({ flows: ["y"], types: ["t"] });
});

test("changes that come at once are all kept", async () => {
  const here = place();
  const flows = Array.from({ length: 12 }, (_unused, index) => `flow-${index}`);
  await Promise.all(flows.map((flow) => changeChannel(edge, here, { follow: { flows: [flow] } })));
  const settings = await readSettings(edge, here);
  expect(settings.flows.toSorted()).toEqual(flows.toSorted());
});

test("a guard is kept with who set it", async () => {
  const here = place("5");
  await guardChannel(edge, here, { on: true, topic: "5", by: "discord:1 (åsa)", at: 12 });
  expect((await readSettings(edge, here)).guards).toEqual([
    { on: true, topic: "5", by: "discord:1 (åsa)", at: 12 },
  ]);
});
