/** Who may do what from a chat: grants, roles, administrators, deny; and what counts as a repetition. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CHAT_SCOPES, type ChatGrant, type ChatScope } from "../../contract/chat/scopes.ts";
import type { Attempt } from "../../durable-objects/chat-access/calls.ts";
import {
  isReplay,
  judge,
  rememberedUntil,
  scopesNow,
  subjectsOf,
} from "../../durable-objects/chat-access/rules.ts";

const attempt: Attempt = {
  key: "interaction:1",
  platform: "discord",
  tenant: "1",
  place: "discord:2",
  user: { id: "3", name: "ada" },
  roles: ["4", "5"],
  administrator: false,
  scope: "run:start",
  act: "flow dispatch",
};
const scope = fc.constantFrom(...CHAT_SCOPES);
const grant: fc.Arbitrary<ChatGrant> = fc.record({ scopes: fc.uniqueArray(scope), deny: fc.boolean() });
const grants = fc.array(grant, { maxLength: 6 });

const known = { known: true, configured: true };

describe("the verdict", () => {
  test("whom it concerns", () => {
    expect(subjectsOf(attempt)).toEqual(["user:3", "role:1", "role:4", "role:5"]);
    expect(subjectsOf({ ...attempt, platform: "telegram", roles: [] })).toEqual(["user:3"]);
  });

  test("A1: without a grant nobody has anything, but an administrator", () => {
    const unconfigured = { known: true, configured: false };
    expect(judge(attempt, [], unconfigured)).toEqual({ verdict: "denied", reason: "unconfigured" });
    expect(judge(attempt, [], known)).toEqual({ verdict: "denied", reason: "missing_scope" });
    expect(judge({ ...attempt, administrator: true }, [], unconfigured)).toEqual({
      verdict: "allowed",
      scopes: [...CHAT_SCOPES],
    });
  });

  test("A1: of a server that was not let in nobody may do anything, whatever he is there or was given", () => {
    fc.assert(
      fc.property(
        grants,
        fc.option(scope, { nil: undefined }),
        fc.boolean(),
        (given, asked, administrator) => {
          const { scope: _scope, ...rest } = attempt;
          const asking = { ...rest, administrator, ...(asked === undefined ? {} : { scope: asked }) };
          expect(judge(asking, given, { known: false, configured: true })).toEqual({
            verdict: "denied",
            reason: "unknown_server",
          });
          expect([...scopesNow(asking, given, false)]).toEqual([]);
        },
      ),
    );
  });

  test("A2: a deny wins over every scope and over an administrator", () => {
    fc.assert(
      fc.property(grants, scope, fc.boolean(), fc.nat(6), (given, asked, administrator, at) => {
        const denied = given.toSpliced(at, 0, { scopes: ["admin"], deny: true });
        expect(judge({ ...attempt, scope: asked, administrator }, denied, known)).toEqual({
          verdict: "denied",
          reason: "denied_role",
        });
      }),
    );
  });

  test("allowed exactly when nothing denies and some grant has the scope, or admin", () => {
    fc.assert(
      fc.property(grants, scope, (given, asked) => {
        const has = (one: ChatScope): boolean => given.some(({ scopes }) => scopes.includes(one));
        const may = !given.some(({ deny }) => deny === true) && (has(asked) || has("admin"));
        expect(judge({ ...attempt, scope: asked }, given, known).verdict).toBe(may ? "allowed" : "denied");
      }),
    );
  });

  test("what needs no scope is allowed to everybody, with the scopes that they have", () => {
    const { scope: _scope, ...anything } = attempt;
    expect(judge(anything, [], { known: true, configured: false })).toEqual({
      verdict: "allowed",
      scopes: [],
    });
    expect(judge(anything, [{ scopes: ["run:read"] }], known)).toEqual({
      verdict: "allowed",
      scopes: ["run:read"],
    });
    expect(judge(anything, [{ scopes: ["run:read"], deny: true }], known)).toEqual({
      verdict: "allowed",
      scopes: [],
    });
  });
});

describe("A3: a repetition", () => {
  const now = 1_000_000_000;
  test.each([
    ["discord", { at: now, done: false }, 0, true],
    ["discord", { at: now, done: true }, 14 * 60_000, true],
    ["discord", { at: now, done: true }, 15 * 60_000, false],
    ["telegram", { at: now, done: true }, 86_400_000, true],
    // Cut off, or still under way: what it does is idempotent by its id.
    ["telegram", { at: now, done: false }, 0, false],
    ["telegram", { at: now, done: false }, 60_000, false],
    ["telegram", undefined, 0, false],
  ] as const)("%s, %j, %i ms later: %s", (platform, seen, laterMs, replay) => {
    expect(isReplay(platform, seen, now + laterMs)).toBe(replay);
  });

  test("is remembered as long as it is one", () => {
    for (const platform of ["discord", "telegram"] as const) {
      const until = rememberedUntil(platform, now);
      expect(isReplay(platform, { at: now, done: true }, until - 1)).toBe(true);
      expect(isReplay(platform, { at: now, done: true }, until)).toBe(false);
    }
  });
});
