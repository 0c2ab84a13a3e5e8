/** Who gets in at the door for Discord: signed, fresh and new, or nothing happens; and what is refused is written down. */
import { env } from "cloudflare:workers";
import { createExecutionContext } from "cloudflare:test";
import { afterAll, describe, expect, test } from "vitest";
import type { AuditView } from "../../contract/chat/audit.ts";
import { INTERACTION_MAX_BYTES } from "../../contract/limits.ts";
import type { Env } from "../../worker/env.ts";
import worker from "../../worker/index.ts";
import { call, eventOf, eventStub, expectError, expectJson, get, stored, until } from "./support/api.ts";
import {
  actsOf,
  allowServer,
  answered,
  auditOf,
  broughtAlong,
  button,
  command,
  direct,
  form,
  messageCommand,
  newServer,
  person,
  roleWith,
  select,
  sendInteraction,
  snowflake,
  strangeServer,
  type Interaction,
  type Person,
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
    const server = await newServer();
    const { type } = deployStep();
    const given = command("flow dispatch", { type, payload: "{}" }, { server, by: server.owner });
    await expectError(sendInteraction(given, sending), 401);
    await expectError(sendInteraction(PING, sending), 401);
    expect(await auditOf(server)).toEqual([]);
    await nothingStarted(given);
  });

  test("what is refused so is counted in the audit, a row a kind", async () => {
    const server = await newServer();
    const where = { server, by: server.owner };
    const given = command("runners", {}, where);
    for (const sending of SPOILED.map(([, one]) => one))
      await expectError(sendInteraction(given, sending), 401);
    await expectError(sendInteraction({ ...PING, pad: "x".repeat(INTERACTION_MAX_BYTES) }), 413);
    await expectError(sendInteraction([]), 400);
    const refused = async (act: string): Promise<string[]> => {
      const { audit } = await get<{ audit: AuditView[] }>("/chat/audit?limit=500");
      return audit
        .filter((row) => row.act === act)
        .map(({ verdict, outcome }) => `${verdict} ${outcome ?? ""}`);
    };
    await until(async () => {
      expect(await refused("forged interaction")).toEqual(["denied invalid signature"]);
      expect(await refused("stale interaction")).toEqual(["denied invalid signature"]);
      expect((await refused("unreadable interaction")).sort()).toEqual([
        "denied invalid_interaction",
        "denied too_large",
      ]);
    });
    expect((await answered(command("status", {}, where))).text).toMatch(
      /Refused at the doors within an hour: .*\d+ × forged interaction \(discord\)/,
    );
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
    const server = await newServer();
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
    const server = await newServer();
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
    const server = await newServer();
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
    const server = await newServer();
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
    const server = await newServer();
    const denied = await roleWith(server, [], true);
    const boss = person("boss", [denied], true);
    expect((await answered(command("runners", {}, { server, by: boss }))).text).toContain(
      "denied everything",
    );
  });

  test("what @everyone is given, everybody has; what it is denied, nobody", async () => {
    const server = await newServer();
    const everyone = async (deny: boolean): Promise<void> => {
      const grant = {
        tenant: server.id,
        subject: `role:${server.id}`,
        scopes: deny ? [] : ["run:read"],
        deny,
      };
      await expectJson(call("POST", "/chat/grants", { body: grant }), 200);
    };
    const look = async (by: Person): Promise<string> =>
      (await answered(command("runners", {}, { server, by }))).text;
    expect(await look(person("ada"))).toContain("may not");
    await everyone(false);
    expect(await look(person("ada"))).not.toContain("may not");
    await everyone(true);
    for (const by of [person("ada"), person("ben", [await roleWith(server, ["run:read"])]), server.owner])
      expect(await look(by)).toContain("denied everything");
  });

  test("a grant of another server opens nothing", async () => {
    const [server, other] = [await newServer(), await newServer()];
    const role = await roleWith(other, ["admin"]);
    const stranger = person("eve", [role]);
    expect((await answered(command("runners", {}, { server, by: stranger }))).text).toContain("may not");
  });

  test("a server that the edge has not let in: its administrators are nobody", async () => {
    const server = strangeServer();
    const where = { server, by: server.owner };
    const { type } = deployStep();
    const start = command("flow dispatch", { type, payload: "{}" }, where);
    for (const given of [
      start,
      command("roles set", { who: server.id }, where),
      command("status", {}, where),
      command("forget everything", {}, where),
      select(`v1:grant:user:${server.owner.id}`, ["admin"], where),
      button("v1:cancel:run_0000000000000000_1", where),
      form("v1:form:dispatch", { type, payload: "{}" }, where),
      messageCommand("Send to Codex", "do it", where),
    ]) {
      const answer = await answered(given);
      expect(answer).toMatchObject({ type: 4, data: { flags: (1 << 15) | 64 } });
      expect(answer.text).toContain(`codex-flow discord allow ${server.id}`);
    }
    expect(await answered(command("flow dispatch", { type: "" }, where, "type"))).toMatchObject({
      type: 8,
      data: { choices: [] },
    });
    // Anybody can do so as often as he likes: it is counted.
    const rows = (await auditOf(server)).reverse();
    expect(rows.map(({ act, times }) => `${act} ${times ?? ""}`)).toEqual([
      "flow dispatch 2",
      "roles set 2",
      "status 1",
      "unknown command 1",
      "cancel 1",
      "Send to Codex 1",
    ]);
    expect(rows.every(({ verdict, outcome }) => `${verdict} ${outcome}` === "denied unknown_server")).toBe(
      true,
    );
    expect((await get<{ grants: unknown[] }>(`/chat/grants?tenant=${server.id}`)).grants).toEqual([]);
    await nothingStarted(start);
  });

  test("a role with every scope counts for nothing there, before it is let in and after it was put out", async () => {
    const server = strangeServer();
    const by = person("ada", [await roleWith(server, ["admin"])]);
    const look = async (): Promise<string> => (await answered(command("runners", {}, { server, by }))).text;
    expect(await look()).toContain("codex-flow discord allow");
    await allowServer(server);
    expect(await look()).not.toContain("may not");
    await allowServer(server, false);
    expect(await look()).toContain("codex-flow discord allow");
  });

  test("somebody who has brought the application along into a server that has not installed it", async () => {
    const server = await newServer();
    const { type } = deployStep();
    const start = command("flow dispatch", { type, payload: "{}" }, { server, by: server.owner });
    expect((await answered(broughtAlong(start))).text).toContain("may not");
    expect(await actsOf(server.owner)).toMatchObject([{ tenant: "direct", verdict: "denied" }]);
    await nothingStarted(start);
  });

  test("direct messages: every kind is refused and written down", async () => {
    const server = await newServer();
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
    const server = await newServer();
    const answer = await answered(make({ server, by: server.owner }));
    expect(answer).toMatchObject({ type: 4, data: { flags: (1 << 15) | 64 } });
    expect(answer.text).toContain("out of date");
    expect(await auditOf(server)).toMatchObject([{ verdict: "allowed", outcome: "refused: out_of_date" }]);
  });

  test("a kind of interaction that is not known yet", async () => {
    const server = await newServer();
    const given = { ...command("runners", {}, { server, by: server.owner }), type: 77 };
    expect((await answered(given)).text).toContain("not known");
    await expectError(sendInteraction(given), 409);
    expect(await auditOf(server)).toMatchObject([
      { act: "unknown interaction", verdict: "replayed" },
      { act: "unknown interaction", verdict: "allowed", outcome: "refused: unknown_interaction" },
    ]);
    const nobodys = { ...given, id: snowflake(), guild_id: undefined, member: undefined };
    expect((await answered(nobodys)).text).toContain("may not");
  });

  test("a signed interaction that cannot be read is answered with what to do, and is in the audit", async () => {
    const server = await newServer();
    const by = { server, by: server.owner };
    const unreadable = { ...command("runners", {}, by), data: undefined };
    expect((await answered(unreadable)).text).toContain("Nothing was done");
    expect(await auditOf(server)).toMatchObject([
      { act: "unreadable interaction", verdict: "allowed", outcome: "refused: unreadable_interaction" },
    ]);
    const nobodys = { ...command("runners", {}, by), member: { user: null } };
    expect((await answered(nobodys)).text).toContain("Nothing was done");
    await until(async () => {
      const { audit } = await get<{ audit: AuditView[] }>("/chat/audit?limit=500");
      expect(audit.map(({ outcome }) => outcome)).toContain("unreadable_interaction");
    });
  });

  test("a run that nobody started", async () => {
    const server = await newServer();
    const where = { server, by: server.owner };
    for (const act of ["cancel", "logs", "replay", "diff"])
      expect((await answered(button(`v1:${act}:run_0000000000000000_1`, where))).text).toContain("no run");
  });
});
