/** The object that admits: its rows in its own storage, with clocks that a test may move. */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterAll, expect, test } from "vitest";
import {
  AUDIT_MAX_ROWS,
  AUDIT_RETENTION_DAYS,
  GUARD_ROWS_MAX,
  GRANTS_PER_TENANT_MAX,
  REFUSAL_ROWS_MAX,
  SERVERS_MAX,
} from "../../contract/limits.ts";
import type { Attempt, GuardDecision } from "../../durable-objects/chat-access/calls.ts";
import { armedAt, crash, fireAlarm } from "./support/api.ts";
import { endObjects } from "./support/tidy.ts";

afterAll(endObjects);

const DAY_MS = 86_400_000;
let serial = 0;

function attempt(more: Partial<Attempt> = {}): Attempt {
  serial += 1;
  return {
    key: `interaction:${serial}`,
    platform: "discord",
    tenant: "t",
    place: "discord:1",
    user: { id: "7", name: "ada" },
    roles: [],
    administrator: true,
    scope: "run:read",
    act: "look",
    ...more,
  };
}

/** An object of one test, reached as the Worker does, and from behind. It has let nobody in. */
function strangersAccess() {
  serial += 1;
  const name = `test ${serial}`;
  const again = () => env.CHAT_ACCESS.getByName(name);
  const access = again();
  // A stub from before a crash is broken: `again` gives another one.
  return { access, again, stub: access as unknown as DurableObjectStub };
}

/** The same, with the server of `attempt` let in. */
async function ownAccess(): Promise<ReturnType<typeof strangersAccess>> {
  const own = strangersAccess();
  await own.access.allowServer("t", true, "me");
  return own;
}

async function sql(stub: DurableObjectStub, query: string): Promise<Record<string, unknown>[]> {
  return runInDurableObject(stub, (_instance, state) => state.storage.sql.exec(query).toArray());
}

test("a look at what nobody has used writes nothing", async () => {
  const { access, stub } = strangersAccess();
  expect(await access.audit({}, undefined, 10)).toEqual([]);
  expect(await access.grants("t")).toEqual([]);
  expect(await access.servers()).toEqual([]);
  expect(await access.scopesOf(attempt())).toEqual([]);
  await access.conclude(1, "x", "k");
  const tables = await sql(stub, "SELECT name FROM sqlite_master WHERE name IN ('audit', 'seen', 'granted')");
  expect(tables).toEqual([]);
});

test("an admission, its outcome and the replay window survive a crash", async () => {
  const { access, again, stub } = await ownAccess();
  const first = attempt({ subject: "run_1" });
  const admitted = await access.admit(first);
  if (admitted.verdict !== "allowed") throw new Error(admitted.verdict);
  await access.conclude(admitted.row, "done", first.key);
  await access.conclude(admitted.row, "done otherwise", first.key);
  await crash(stub);
  expect(await again().admit(first)).toEqual({ verdict: "replayed" });
  expect(await again().audit({}, undefined, 10)).toMatchObject([
    { verdict: "replayed" },
    { verdict: "allowed", outcome: "done", user: { id: "7", name: "ada" } },
  ]);
});

test("the window ends, and an update of Telegram that was cut off is admitted again at once", async () => {
  const { access, stub } = await ownAccess();
  const [discord, cutOff, done] = [
    attempt(),
    attempt({ platform: "telegram", key: "update:1" }),
    attempt({ platform: "telegram", key: "update:2" }),
  ];
  for (const one of [discord, cutOff]) await access.admit(one);
  const admitted = await access.admit(done);
  if (admitted.verdict === "allowed") await access.conclude(admitted.row, "done", done.key);
  expect(await access.admit(cutOff)).toMatchObject({ verdict: "allowed", again: true });
  await sql(stub, "UPDATE audit SET at = at - 1000000");
  expect(await access.admit(cutOff)).toMatchObject({ verdict: "allowed" });
  expect(await access.admit(done)).toEqual({ verdict: "replayed" });
  expect(await access.admit(discord)).toMatchObject({ verdict: "allowed" });
});

test("A3: a denied update is denied once, and is no repetition until who asked was answered", async () => {
  const { access } = await ownAccess();
  const eve = attempt({ platform: "telegram", key: "update:3", administrator: false });
  const first = await access.admit(eve);
  expect(await access.admit(eve)).toMatchObject({ verdict: "denied", again: true });
  if (first.verdict === "denied") await access.conclude(first.row, "denied", eve.key);
  expect(await access.admit(eve)).toEqual({ verdict: "replayed" });
  expect((await access.audit({}, undefined, 9)).map(({ outcome }) => outcome)).toEqual([
    undefined,
    "unconfigured",
    "unconfigured",
  ]);
});

test("what an older version has seen counts as done", async () => {
  const { access, again, stub } = await ownAccess();
  const update = attempt({ platform: "telegram", key: "update:4" });
  await access.admit(update);
  await runInDurableObject(stub, (_instance, { storage }) => {
    storage.sql.exec("ALTER TABLE seen DROP COLUMN done");
    storage.sql.exec("DROP INDEX audit_nth");
    for (const column of ["lasting", "nth"]) storage.sql.exec(`ALTER TABLE audit DROP COLUMN ${column}`);
    storage.kv.put("schemaVersion", 3);
  });
  await crash(stub);
  expect(await again().admit(update)).toEqual({ verdict: "replayed" });
});

test("the audit is bounded in rows", async () => {
  const { access, stub } = await ownAccess();
  for (let row = 1; row <= 2; row += 1) await access.admit(attempt());
  await sql(stub, `UPDATE audit SET nth = ${AUDIT_MAX_ROWS} WHERE nth = 2`);
  await access.admit(attempt());
  expect((await access.audit({}, undefined, 10)).map(({ row }) => row)).toEqual([3, 2]);
});

test("grants and decisions stay in the audit, whatever number of other rows is written", async () => {
  const { access, stub } = await ownAccess();
  await access.admit(attempt({ scope: "admin", act: "roles set" }));
  await access.admit(attempt({ scope: "run:approve", act: "approve" }));
  await access.noteApiCall({ act: "approval accept", subject: "run_1", by: "api: ada", outcome: "a1" });
  await access.admit(attempt({ scope: "admin", act: "roles set", administrator: false }));
  await access.admit(attempt({ act: "look" }));
  // As if as many others had been written as there may be.
  await sql(stub, `UPDATE audit SET nth = nth + ${AUDIT_MAX_ROWS} WHERE act = 'look'`);
  for (let place = 0; place < 3 * GUARD_ROWS_MAX; place += 1) await access.guardDecision(guardAnswer(place));
  const acts = (await access.audit({}, undefined, 500)).map(({ act, verdict }) => `${act} ${verdict}`);
  for (const act of ["roles set allowed", "approve allowed", "approval accept allowed"])
    expect(acts).toContain(act);
  expect(acts).not.toContain("roles set denied");
});

test("the same answer of the guard about a place is one row an hour, and those about many places are one", async () => {
  const { access, stub } = strangersAccess();
  for (let time = 0; time < 5; time += 1) await access.guardDecision(guardAnswer(1));
  await access.guardDecision({ ...guardAnswer(1), allowed: true, reason: "on" });
  const rows = await access.audit({}, undefined, 500);
  expect(rows.map(({ verdict, times }) => [verdict, times])).toEqual([
    ["allowed", 1],
    ["denied", 5],
  ]);
  for (let place = 0; place < 3 * GUARD_ROWS_MAX; place += 1) await access.guardDecision(guardAnswer(place));
  const all = await access.audit({}, undefined, 500);
  expect(all.length).toBeLessThanOrEqual(GUARD_ROWS_MAX + 1);
  expect(all.reduce((sum, { times = 0 }) => sum + times, 0)).toBe(6 + 3 * GUARD_ROWS_MAX);
  // They take no room from refusals of strangers, and are none.
  expect(await access.refusedLately()).toEqual([]);
  await sql(stub, "UPDATE refusal SET until = 1");
  await access.guardDecision(guardAnswer(1));
  expect(await access.audit({}, undefined, 500)).toHaveLength(all.length + 1);
});

function guardAnswer(place: number): GuardDecision {
  return { platform: "discord", place: `discord:${place}`, mode: "run", allowed: false, reason: "off" };
}

test("what is too old goes with the alarm, and the alarm comes again while anything is left", async () => {
  const { access, stub } = await ownAccess();
  await access.admit(attempt());
  await sql(stub, `UPDATE audit SET at = at - ${(AUDIT_RETENTION_DAYS + 1) * DAY_MS}`);
  await sql(stub, "UPDATE seen SET until = 1");
  await fireAlarm(stub);
  expect(await sql(stub, "SELECT * FROM audit")).toEqual([]);
  expect(await sql(stub, "SELECT * FROM seen")).toEqual([]);
  expect(await armedAt(stub)).toBeNull();
  await access.admit(attempt());
  await fireAlarm(stub);
  expect(await armedAt(stub)).not.toBeNull();
  expect(await sql(stub, "SELECT row FROM audit")).toHaveLength(1);
});

test("texts are cut, so that the bound of rows bounds the bytes", async () => {
  const { access } = await ownAccess();
  const long = "x".repeat(100_000);
  const roles = Array.from({ length: 5_000 }, (_unused, index) => String(index));
  await access.admit(attempt({ act: long, subject: long, user: { id: long, name: long }, roles }));
  await access.guardDecision({
    platform: "discord",
    place: "discord:1",
    mode: "run",
    allowed: false,
    reason: "off",
    commandHint: long,
  });
  expect(JSON.stringify(await access.audit({}, undefined, 10)).length).toBeLessThan(5_000);
});

test("refusals of strangers are counted: a row a kind, sender and hour, and one for those of too many senders", async () => {
  const { access, stub } = strangersAccess();
  const forged = { platform: "discord", act: "forged interaction", reason: "invalid signature" } as const;
  await access.refused({ ...forged, times: 1 });
  await access.refused({ ...forged, times: 41 });
  const from = (id: string) => ({ tenant: "9", place: "telegram:1", user: { id, name: "eve" } });
  const asked = { platform: "telegram", act: "/ask", reason: "not_bound" } as const;
  for (let user = 0; user < 3 * REFUSAL_ROWS_MAX; user += 1)
    await access.refused({ ...asked, from: from(String(user)), times: 1 });
  // What has a row of its own stays so; and what nobody can be known from always has one.
  await access.refused({ ...asked, from: from("0"), times: 5 });
  await access.refused({ ...forged, act: "stale interaction", times: 1 });
  for (let server = 0; server < 3; server += 1) {
    expect(await access.admit(attempt({ key: "k", tenant: `s${server}` }))).toMatchObject({
      verdict: "denied",
    });
    expect(await access.admit(attempt({ key: "k", tenant: `s${server}` }))).toMatchObject({
      verdict: "denied",
    });
  }
  const rows = await access.audit({}, undefined, 100);
  expect(rows.length).toBeLessThanOrEqual(REFUSAL_ROWS_MAX + 5);
  const times = (act: string): number[] =>
    rows.filter((row) => row.act === act).flatMap((row) => row.times ?? []);
  expect(times("forged interaction")).toEqual([42]);
  expect(times("stale interaction")).toEqual([1]);
  expect(rows.find(({ user }) => user.id === "0" && user.name === "eve")).toMatchObject({ times: 6 });
  const all = rows.reduce((sum, row) => sum + (row.times ?? 0), 0);
  expect(all).toBe(42 + 3 * REFUSAL_ROWS_MAX + 5 + 1 + 6);
  const lately = await access.refusedLately();
  expect(lately.reduce((sum, row) => sum + row.times, 0)).toBe(all);
  expect(lately).toContainEqual({ platform: "discord", act: "forged interaction", times: 42 });
  // An hour later it is another row.
  await sql(stub, "UPDATE refusal SET until = 1");
  expect(await access.refusedLately()).toEqual([]);
  await access.refused({ ...forged, times: 1 });
  expect((await access.audit({}, undefined, 1))[0]).toMatchObject({ act: "forged interaction", times: 1 });
});

test("servers are bounded; one that is there stays as it was let in, and one that is put out makes room", async () => {
  const { access, again, stub } = strangersAccess();
  for (let server = 0; server < SERVERS_MAX; server += 1)
    expect(await access.allowServer(String(server), true, "me")).toMatchObject({ kind: "set" });
  expect(await access.allowServer("more", true, "me")).toEqual({ kind: "full" });
  expect(await access.allowServer("1", true, "you")).toMatchObject({ kind: "set" });
  await access.allowServer("2", false, "me");
  expect(await access.allowServer("more", true, "me")).toMatchObject({ kind: "set" });
  await crash(stub);
  const servers = await again().servers();
  expect(servers).toHaveLength(SERVERS_MAX);
  expect(servers.find(({ server }) => server === "1")).toMatchObject({ setBy: "me" });
  expect(servers.some(({ server }) => server === "2")).toBe(false);
});

test("grants are bounded for each tenant, and a change of one that is there always fits", async () => {
  const { access } = await ownAccess();
  for (let role = 0; role < GRANTS_PER_TENANT_MAX; role += 1)
    expect(await access.setGrant("t", `role:${role}`, { scopes: ["run:read"] }, "me")).toMatchObject({
      kind: "set",
    });
  expect(await access.setGrant("t", "role:9999", { scopes: ["run:read"] }, "me")).toEqual({ kind: "full" });
  expect(await access.setGrant("t", "role:1", { scopes: [], deny: true }, "me")).toMatchObject({
    kind: "set",
  });
  expect(await access.setGrant("u", "role:9999", { scopes: ["run:read"] }, "me")).toMatchObject({
    kind: "set",
  });
});

test("the audit of a user, of a run that something was done to, and of one that was started", async () => {
  const { access } = await ownAccess();
  const start = await access.admit(attempt({ act: "ask", user: { id: "1", name: "ada" } }));
  if (start.verdict === "allowed") await access.conclude(start.row, "started run_a_1 run_b_1", "k");
  await access.admit(attempt({ act: "cancel", subject: "run_b_1", user: { id: "2", name: "ben" } }));
  await access.admit(attempt({ act: "cancel", subject: "run_c_1", user: { id: "2", name: "ben" } }));
  const acts = async (filter: { user?: string; run?: string }): Promise<string[]> =>
    (await access.audit(filter, undefined, 10)).map(({ act, subject }) => `${act} ${subject ?? ""}`.trim());
  expect(await acts({ run: "run_b_1" })).toEqual(["cancel run_b_1", "ask"]);
  expect(await acts({ user: "2" })).toEqual(["cancel run_c_1", "cancel run_b_1"]);
  const [newest] = await access.audit({}, undefined, 1);
  expect(await access.audit({}, newest?.row, 10)).toHaveLength(2);
});
