import * as fc from "fast-check";
import { expect, test } from "vitest";
import { ACTION_MAX_BYTES, encodeAction } from "../../contract/chat/action.ts";
import { confirmation, confirmationMessage, readConfirmation } from "../../worker/chat/confirmation.ts";

const RUN = "run_0123456789abcdef_1";
const MINUTE_MS = 60_000;
const NOW = Date.parse("2026-12-01T00:00:00Z");

test("the button of a second press is read back as what was approved, by whom and until when", () => {
  const decisions = fc.constantFrom("accept", "accept_for_session", "decline", "cancel");
  const users = fc.bigInt({ min: 1n, max: 2n ** 64n - 1n }).map(String);
  const times = fc.integer({ min: 0, max: 40_000_000 }).map((minute) => minute * MINUTE_MS);
  fc.assert(
    fc.property(
      decisions,
      users,
      times,
      fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/),
      (decision, user, expiresAt, approval) => {
        const given = { decision, user, expiresAt, approval };
        expect(readConfirmation(confirmation(given))).toEqual(given);
      },
    ),
  );
});

test("text that no version has written is read as no confirmation", () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      const read = readConfirmation(text);
      if (read !== undefined) expect(text).toMatch(/^[asdc][0-9a-z]+:[0-9a-z]+:/);
    }),
  );
  for (const text of ["", "a1-1", "a:1:a1-1", "x123:1:a1-1", "a123::a1-1", "a123:1:"])
    expect(readConfirmation(text)).toBeUndefined();
});

test("the button for a Discord user with the longest id fits into the room of a button", () => {
  const more = confirmation({
    decision: "accept_for_session",
    approval: "a1-99",
    user: String(2n ** 64n - 1n),
    expiresAt: NOW,
  });
  const action = encodeAction({ act: "confirm", runId: RUN, more }) ?? "";
  expect(action).not.toBe("");
  expect(action.length).toBeLessThanOrEqual(ACTION_MAX_BYTES);
});

test("an approval whose id does not fit into a button is confirmed on a terminal", () => {
  const approval = "a".repeat(64);
  const asker = {
    place: { platform: "discord", channel: "1" },
    tenant: "1",
    user: { id: "1", name: "ada" },
    roles: [],
    administrator: false,
    requestId: "1",
  } as const;
  const { lines = [], buttons = [] } = confirmationMessage(
    { ...asker, roles: [] },
    { runId: RUN, approval, decision: "accept", title: "git push" },
    NOW,
  );
  expect(buttons.flat()).toEqual([]);
  expect(lines.join("\n")).toContain(`codex-flow approvals accept ${RUN} ${approval}`);
});
