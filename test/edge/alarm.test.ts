/** The one alarm of an object, on the storage of a real one. */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import { AlarmSchedule } from "../../durable-objects/kit/alarm.ts";

test.each([0, -1])("what is due since ever (%i) is no time that the platform refuses", async (due) => {
  const object = env.CHAT_OUTBOXES.getByName(`discord:alarm${due}`) as unknown as DurableObjectStub;
  await runInDurableObject(object, async (_instance, { storage }) => {
    const alarm = new AlarmSchedule(storage);
    await expect(alarm.wakeBy(due)).resolves.toBeUndefined();
    await expect(alarm.moveTo(due)).resolves.toBeUndefined();
    await storage.deleteAlarm();
  });
});

test("an alarm that could not be set is not taken for one that is armed", async () => {
  const object = env.CHAT_OUTBOXES.getByName("discord:alarm-refused") as unknown as DurableObjectStub;
  await runInDurableObject(object, async (_instance, { storage }) => {
    const alarm = new AlarmSchedule(storage);
    const never = Number.NaN;
    await expect(alarm.moveTo(never)).rejects.toThrow();
    const due = Date.now() + 3_600_000;
    await alarm.wakeBy(due);
    expect(await storage.getAlarm()).toBe(due);
    await storage.deleteAlarm();
  });
});
