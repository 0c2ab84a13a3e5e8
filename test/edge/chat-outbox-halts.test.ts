/** Several reasons to send nothing at all, at once: none is forgotten because another one came. */
import { expect, test } from "vitest";
import {
  Governor,
  INVALID_MAX,
  INVALID_WINDOW_MS,
} from "../../durable-objects/chat-outbox/delivery/governor.ts";
import type { Lane, Outcome, PlatformAnswer } from "../../durable-objects/chat-outbox/delivery/platform.ts";
import { discordPlatform } from "../../durable-objects/chat-outbox/discord/platform.ts";
import { ownDiscord } from "./support/own-fakes.ts";
import { withDiscord } from "./support/outbox.ts";

const NOW = 1_790_000_000_000;
const LANES: Lane[] = ["1", "2", "3"].map((major) => ({ name: `create ${major}`, route: "POST", major }));

const [LANE = { name: "", route: "", major: "" }] = LANES;
const OWN_TOKEN: Lane = { ...LANE, ownToken: true };

const answerOf = (status: number): PlatformAnswer => ({ status, headers: new Headers(), body: {} });
const GLOBAL: Outcome = { kind: "limited", ms: 2_000, scope: "bot", shared: false, hidden: false };

interface Scene {
  governor: Governor;
  /** The same, after the object has died; with another token of the bot. */
  again(token?: string): Governor;
}

async function governed(act: (scene: Scene) => void, invalid = 0): Promise<void> {
  const fake = await ownDiscord();
  await withDiscord(fake, (outbox) => {
    if (invalid > 0) outbox.rows.putBarrier("invalid", { since: NOW, count: invalid });
    const { pace } = discordPlatform(fake);
    const again = (token = "one"): Governor => new Governor(pace, outbox.rows, token, NOW);
    act({ governor: again(), again });
    return Promise.resolve();
  });
}

/** Requests that were under way together end like this, one after the other. */
function endTogether(governor: Governor, now: number, ...ends: [status: number, outcome: Outcome][]): void {
  ends.forEach((_end, index) => {
    governor.begin(LANES[index] as Lane, now);
  });
  ends.forEach(([status, outcome], index) => {
    governor.end(LANES[index] as Lane, answerOf(status), outcome, now);
  });
}

test.each([
  ["a limit of the whole bot", [429, GLOBAL]],
  ["a block of the address", [429, { kind: "blocked" }]],
  ["something that went well", [200, { kind: "done" }]],
] as [string, [number, Outcome]][])("the breaker outlasts %s", async (_name, after) => {
  await governed(({ governor, again }) => {
    endTogether(governor, NOW, [403, { kind: "park", code: "50013", message: "no" }], after);
    for (const life of [governor, again()]) {
      expect(life.botReadyAt(NOW, LANE)).toBe(NOW + INVALID_WINDOW_MS);
      expect(life.status(NOW).halted).toMatchObject({ code: "too_many_invalid" });
    }
  }, INVALID_MAX - 1);
});

test("blocks in a row are counted across another reason, and those that came together count once", async () => {
  await governed(({ governor, again }) => {
    endTogether(governor, NOW, [429, { kind: "blocked" }], [429, { kind: "blocked" }], [429, GLOBAL]);
    expect(governor.botReadyAt(NOW, LANE)).toBe(NOW + 30_000);
    endTogether(governor, NOW + 30_000, [429, GLOBAL]);
    endTogether(again(), NOW + 33_000, [429, { kind: "blocked" }]);
    expect(again().botReadyAt(NOW, LANE)).toBe(NOW + 33_000 + 60_000);
  });
});

test("the breaker holds for another token, too; that the old one was refused does not", async () => {
  await governed(({ governor, again }) => {
    endTogether(
      governor,
      NOW,
      [401, { kind: "halt", code: "401", message: "no" }],
      [429, { kind: "blocked" }],
    );
    expect(governor.status(NOW).halted).toEqual({ code: "401", message: "no" });
    expect(again().botReadyAt(NOW, LANE)).toBe(NOW + 15 * 60_000);
    expect(again("two").botReadyAt(NOW, LANE)).toBe(NOW + INVALID_WINDOW_MS);
    expect(again("two").status(NOW).halted).toMatchObject({ code: "too_many_invalid" });
  }, INVALID_MAX - 1);
});

test("an answer by a token of its own waits for what concerns the address, and for nothing else", async () => {
  await governed(({ governor }) => {
    endTogether(governor, NOW, [401, { kind: "halt", code: "401", message: "no" }], [429, GLOBAL]);
    expect(governor.botReadyAt(NOW, OWN_TOKEN)).toBe(0);
    endTogether(governor, NOW, [429, { kind: "blocked" }]);
    expect(governor.botReadyAt(NOW, OWN_TOKEN)).toBe(NOW + 30_000);
  });
});

test("a shorter limit does not end a longer one", async () => {
  await governed(({ governor }) => {
    endTogether(governor, NOW, [429, { ...GLOBAL, ms: 60_000 }], [429, GLOBAL]);
    expect(governor.botReadyAt(NOW, LANE)).toBeGreaterThanOrEqual(NOW + 60_000);
    endTogether(governor, NOW + 61_000, [200, { kind: "done" }]);
    expect(governor.status(NOW + 61_000)).not.toHaveProperty("halted");
  });
});
