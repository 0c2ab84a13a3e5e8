/** The object that admits: its rows in its own storage, with clocks that a test may move. */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterAll, expect, test } from "vitest";
import { AUDIT_MAX_ROWS, AUDIT_RETENTION_DAYS, GRANTS_PER_TENANT_MAX } from "../../contract/limits.ts";
import type { Attempt } from "../../durable-objects/chat-access/calls.ts";
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

/** An object of one test, reached as the Worker does, and from behind. */
function ownAccess() {
  serial += 1;
  const name = `test ${serial}`;
  const again = () => env.CHAT_ACCESS.getByName(name);
  const access = again();
  // A stub from before a crash is broken: `again` gives another one.
  return { access, again, stub: access as unknown as DurableObjectStub };
}

async function sql(stub: DurableObjectStub, query: string): Promise<Record<string, unknown>[]> {
  return runInDurableObject(stub, (_instance, state) => state.storage.sql.exec(query).toArray());
}

test("a look at what nobody has used writes nothing", async () => {
  const { access, stub } = ownAccess();
  expect(await access.audit({}, undefined, 10)).toEqual([]);
  expect(await access.grants("t")).toEqual([]);
  expect(await access.scopesOf(attempt())).toContain("admin");
  await access.conclude(1, "x", "k");
  const tables = await sql(stub, "SELECT name FROM sqlite_master WHERE name IN ('audit', 'seen', 'granted')");
  expect(tables).toEqual([]);
});

test("an admission, its outcome and the replay window survive a crash", async () => {
  const { access, again, stub } = ownAccess();
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
  const { access, stub } = ownAccess();
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
  const { access } = ownAccess();
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
  const { access, again, stub } = ownAccess();
  const update = attempt({ platform: "telegram", key: "update:4" });
  await access.admit(update);
  await runInDurableObject(stub, (_instance, { storage }) => {
    storage.sql.exec("ALTER TABLE seen DROP COLUMN done");
    storage.kv.put("schemaVersion", 1);
  });
  await crash(stub);
  expect(await again().admit(update)).toEqual({ verdict: "replayed" });
});

test("the audit is bounded in rows", async () => {
  const { access, stub } = ownAccess();
  await access.admit(attempt());
  await sql(stub, `UPDATE sqlite_sequence SET seq = ${AUDIT_MAX_ROWS} WHERE name = 'audit'`);
  await access.admit(attempt());
  expect((await access.audit({}, undefined, 10)).map(({ row }) => row)).toEqual([AUDIT_MAX_ROWS + 1]);
});

test("what is too old goes with the alarm, and the alarm comes again while anything is left", async () => {
  const { access, stub } = ownAccess();
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
  const { access } = ownAccess();
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

test("grants are bounded for each tenant, and a change of one that is there always fits", async () => {
  const { access } = ownAccess();
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
  const { access } = ownAccess();
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
