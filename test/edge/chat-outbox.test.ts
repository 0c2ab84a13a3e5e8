/** What the outbox sends, against a Discord that limits, fails and forgets. */
import { expect, test } from "vitest";
import { addChannels, inChannel, look, startDiscord, tell } from "./support/chat-fakes.ts";
import { discordPlace, says, withDiscord } from "./support/outbox.ts";

test("posts once and in order; a card shows its newest state", async () => {
  const fake = await startDiscord();
  const [channel = ""] = await addChannels(fake, 1);
  await withDiscord(fake, async (outbox) => {
    const { delivery } = outbox;
    const place = discordPlace(channel);
    delivery.card("run", place, says("state 0"));
    for (let n = 1; n <= 12; n += 1)
      delivery.post(`p${n}`, place, n === 12 ? "final" : "event", says(`post ${n}`));
    delivery.post("p3", place, "event", says("post 3 again"));
    delivery.card("run", place, says("state 1"), { urgent: true });
    await outbox.drainAll();
    const seen = await look(fake);
    expect(inChannel(seen, channel).map(({ text }) => text)).toEqual([
      ...Array.from({ length: 12 }, (_unused, n) => `### post ${n + 1}`),
      "### state 1",
    ]);
    expect(seen.limited).toEqual([]);
    expect(seen.faults).toEqual([]);
    expect(seen.requests).toHaveLength(13);
  });
  await tell(fake, { do: "stop" });
});
