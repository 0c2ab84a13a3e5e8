/** Who gets in at the door for Discord: signed, fresh and new, or nothing happens; and what is refused is written down. */
import { env } from "cloudflare:workers";
import { createExecutionContext } from "cloudflare:test";
import { afterAll, describe, expect, test } from "vitest";
import { INTERACTION_MAX_BYTES } from "../../contract/limits.ts";
import type { Env } from "../../worker/env.ts";
import worker from "../../worker/index.ts";
import { call, eventOf, eventStub, expectError, expectJson, stored } from "./support/api.ts";
import {
  actsOf,
  answered,
  auditOf,
  button,
  command,
  direct,
  newServer,
  person,
  roleWith,
  sendInteraction,
  snowflake,
  type Interaction,
  type Sending,
} from "./support/discord.ts";
import { deployStep } from "./support/flow-catalog.ts";
import { endObjects } from "./support/tidy.ts";

afterAll(endObjects);

const PING = { id: snowflake(), application_id: "1", type: 1, version: 1, token: "t" };

/** The event that this interaction would have made has no object. */
async function nothingStarted({ id }: Interaction): Promise<void> {
  expect(await stored(await eventStub(`discord:${id}`))).toEqual({ keys: [], tables: [] });
}

describe("the signature", () => {
  test("a ping is answered in the response, as JSON", async () => {
    const answer = await sendInteraction(PING);
    expect(answer.headers.get("content-type")).toContain("application/json");
    expect(await expectJson(answer, 200)).toEqual({ type: 1 });
  });

  const SPOILED: [string, Sending][] = [
    ["forged", { forged: true }],
    ["tampered with", { spoil: (body) => body.replace(/\}$/, ',"x":1}') }],
    ["truncated", { spoil: (body) => body.slice(0, -1) }],
    ["empty", { spoil: () => "" }],
    ["stale", { ageSeconds: 301 }],
    ["from the future", { ageSeconds: -400 }],
    ["without a signature", { headers: { "x-signature-ed25519": "" } }],
    ["with half a signature", { headers: { "x-signature-ed25519": "ab".repeat(32) } }],
    ["with a signature that is no hexadecimal", { headers: { "x-signature-ed25519": "zz".repeat(64) } }],
    ["without a time", { headers: { "x-signature-timestamp": "" } }],
    ["with a time that is none", { headers: { "x-signature-timestamp": "now" } }],
    [
      "with another time than was signed",
      { headers: { "x-signature-timestamp": String(Math.floor(Date.now() / 1000) - 1) } },
    ],
  ];
  test.each(SPOILED)("%s: 401, and nothing is written down or started", async (_name, sending) => {
    const server = newServer();
    const { type } = deployStep();
    const given = command("flow dispatch", { type, payload: "{}" }, { server, by: server.owner });
    await expectError(sendInteraction(given, sending), 401);
    await expectError(sendInteraction(PING, sending), 401);
    expect(await auditOf(server)).toEqual([]);
    await nothingStarted(given);
  });

  test.each(["GET", "PUT", "DELETE"])("%s is not signed either", async (method) => {
    await expectError(call(method, "/discord/interactions"), 401);
  });

  test("a token of ours opens nothing here", async () => {
    await expectError(call("POST", "/discord/interactions", { body: PING }), 401);
  });

  test("a body over the bound is not read to its end", async () => {
    await expectError(sendInteraction({ ...PING, pad: "x".repeat(INTERACTION_MAX_BYTES) }), 413);
  });

  test.each(["null", "[]", "1", '{"id":"1"}'])("signed, and no interaction: %s", async (text) => {
    await expectError(sendInteraction(JSON.parse(text)), 400);
  });

  test.each([undefined, "", "not a key"])("closed with the public key %s", async (publicKey) => {
    const { DISCORD_PUBLIC_KEY: _known, ...rest } = env as unknown as Env;
    const closed = { ...rest, ...(publicKey === undefined ? {} : { DISCORD_PUBLIC_KEY: publicKey }) };
    const headers = {
      "x-signature-ed25519": "ab".repeat(64),
      "x-signature-timestamp": String(Math.floor(Date.now() / 1000)),
    };
    const request = new Request("https://edge/discord/interactions", { method: "POST", headers, body: "{}" });
    const answer = await worker.fetch(request as never, closed, createExecutionContext());
    expect(answer.status).toBe(401);
  });
});

describe("a repetition", () => {
  test("is refused and written down, and starts nothing a second time", async () => {
    const server = newServer();
    const { type } = deployStep();
    const given = command("flow dispatch", { type, payload: "{}" }, { server, by: server.owner });
    await expectJson(sendInteraction(given), 200);
    // The same bytes, and the same interaction under a new signature.
    expect((await expectError(sendInteraction(given), 409)).code).toBe("replayed");
    await expectError(sendInteraction(given, { ageSeconds: 5 }), 409);
    expect((await auditOf(server)).map(({ verdict }) => verdict)).toEqual([
      "replayed",
      "replayed",
      "allowed",
    ]);
    expect((await eventOf(`discord:${given.id}`)).runs).toHaveLength(1);
  });

  test("of many at the same moment one is admitted", async () => {
    const server = newServer();
    const { type } = deployStep();
    const given = command("flow dispatch", { type, payload: "{}" }, { server, by: server.owner });
    const answers = await Promise.all(Array.from({ length: 8 }, () => sendInteraction(given)));
    expect(answers.map(({ status }) => status).sort()).toEqual([200, ...Array<number>(7).fill(409)]);
    for (const answer of answers) await answer.body?.cancel();
    expect(await auditOf(server)).toHaveLength(8);
  });
});

describe("who may not", () => {
  test("nobody has anything before an administrator says so", async () => {
    const server = newServer();
    const somebody = person("ada");
    const { type } = deployStep();
    const given = command("flow dispatch", { type, payload: "{}" }, { server, by: somebody });
    const answer = await answered(given);
    expect(answer).toMatchObject({ type: 4, data: { flags: (1 << 15) | 64 } });
    expect(answer.text).toContain("run:start");
    expect(answer.text).toContain("/roles set");
    await nothingStarted(given);
    expect(await auditOf(server)).toMatchObject([
      {
        act: "flow dispatch",
        subject: type,
        verdict: "denied",
        outcome: "unconfigured",
        user: { name: "ada" },
      },
    ]);
  });

  test("a role without the scope, and one that is denied everything", async () => {
    const server = newServer();
    const { type } = deployStep();
    const reader = await roleWith(server, ["run:read"]);
    const starter = await roleWith(server, ["run:start"]);
    const denied = await roleWith(server, [], true);
    const start = (roles: string[]): Interaction =>
      command("flow dispatch", { type, payload: "{}" }, { server, by: person("ada", roles) });
    const [lacking, forbidden] = [start([reader]), start([starter, denied])];
    expect((await answered(lacking)).text).toContain("run:start");
    expect((await answered(forbidden)).text).toContain("denied everything");
    await nothingStarted(lacking);
    await nothingStarted(forbidden);
    expect((await auditOf(server)).map(({ outcome }) => outcome)).toEqual(["denied_role", "missing_scope"]);
    expect((await answered(start([reader, starter]))).text).toContain("Started");
  });

  test("a deny binds an administrator too", async () => {
    const server = newServer();
    const denied = await roleWith(server, [], true);
    const boss = person("boss", [denied], true);
    expect((await answered(command("runners", {}, { server, by: boss }))).text).toContain(
      "denied everything",
    );
  });

  test("a grant of another server opens nothing", async () => {
    const [server, other] = [newServer(), newServer()];
    const role = await roleWith(other, ["admin"]);
    const stranger = person("eve", [role]);
    expect((await answered(command("runners", {}, { server, by: stranger }))).text).toContain("may not");
  });

  test("direct messages: every kind is refused and written down", async () => {
    const server = newServer();
    const by = person("ada", [], true);
    const { type } = deployStep();
    const where = { server, by };
    const start = command("flow dispatch", { type, payload: "{}" }, where);
    for (const given of [
      start,
      button("v1:cancel:run_0000000000000000_1", where),
      button("what is this", where),
    ])
      expect((await answered(direct(given))).text).toContain("may not");
    expect(await answered(direct(command("flow dispatch", { type: "" }, where, "type")))).toMatchObject({
      type: 8,
      data: { choices: [] },
    });
    expect((await actsOf(by)).map(({ verdict, tenant }) => `${tenant} ${verdict}`)).toEqual(
      Array(3).fill("direct denied"),
    );
    await nothingStarted(start);
  });
});

describe("what nobody knows", () => {
  test.each([
    ["a command", (where: Parameters<typeof button>[1]) => command("forget everything", {}, where)],
    [
      "a command named like a property",
      (where: Parameters<typeof button>[1]) => command("constructor", {}, where),
    ],
    [
      "a button of another version",
      (where: Parameters<typeof button>[1]) => button("v0:cancel:run_1", where),
    ],
    ["a button of no run", (where: Parameters<typeof button>[1]) => button("v1:cancel:everything", where)],
  ])("%s gets a friendly answer that only its asker sees", async (_name, make) => {
    const server = newServer();
    const answer = await answered(make({ server, by: server.owner }));
    expect(answer).toMatchObject({ type: 4, data: { flags: (1 << 15) | 64 } });
    expect(answer.text).toContain("out of date");
    expect(await auditOf(server)).toMatchObject([{ verdict: "allowed", outcome: "refused: out_of_date" }]);
  });

  test("a kind of interaction that is not known yet", async () => {
    expect((await answered({ ...PING, id: snowflake(), type: 77 })).text).toContain("not known");
  });

  test("a run that nobody started", async () => {
    const server = newServer();
    const where = { server, by: server.owner };
    for (const act of ["cancel", "logs", "replay", "diff"])
      expect((await answered(button(`v1:${act}:run_0000000000000000_1`, where))).text).toContain("no run");
  });
});
