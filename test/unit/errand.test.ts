/** Work that is done in one place at a time: a call at any moment is dealt with, also when the work is about to end. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Errand } from "../../durable-objects/kit/errand.ts";

const never = new Promise<never>(() => undefined);

/** So many turns of the queue of promises later. */
async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await Promise.resolve();
}

describe("a call", () => {
  test("whenever it comes, is dealt with before its promise resolves, by one worker at a time", async () => {
    const moments = fc.array(fc.nat({ max: 12 }), { minLength: 1, maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(moments, fc.nat({ max: 4 }), async (pauses, slowness) => {
        let [waiting, working] = [0, 0];
        const errand: Errand<void> = new Errand(async () => {
          working += 1;
          expect(working).toBe(1);
          while (waiting > 0) {
            waiting = 0;
            await errand.rest([turns(slowness)]);
          }
          working -= 1;
        });
        const calls: Promise<void>[] = [];
        for (const pause of pauses) {
          waiting += 1;
          calls.push(
            errand.call().then(() => {
              expect(waiting).toBe(0);
            }),
          );
          await turns(pause);
        }
        await Promise.all(calls);
      }),
    );
  });

  test("wakes what rests, and so does a wake, which begins nothing", async () => {
    let [begun, looks] = [0, 0];
    const errand: Errand<number> = new Errand(async () => {
      begun += 1;
      for (; looks < 3; looks += 1) await errand.rest([never]);
      return looks;
    });
    errand.wake();
    expect(begun).toBe(0);
    const first = errand.call();
    void errand.call();
    await turns(10);
    errand.wake();
    await turns(10);
    expect(looks).toBe(2);
    errand.wake();
    expect(await first).toBe(3);
  });
});

test("a rest ends when its time is over, or one of those under way is", async () => {
  const errand: Errand<string> = new Errand(async () => {
    await errand.rest([never], 1);
    await errand.rest([never, Promise.resolve()]);
    return "rested";
  });
  expect(await errand.call()).toBe("rested");
});

test("work that failed is begun anew by the next call", async () => {
  let fails = true;
  const errand: Errand<string> = new Errand(async () => {
    if (fails) throw new Error("down");
    return "done";
  });
  await expect(errand.call()).rejects.toThrow("down");
  fails = false;
  expect(await errand.call()).toBe("done");
});
