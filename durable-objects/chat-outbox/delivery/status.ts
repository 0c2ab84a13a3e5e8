/** How delivery stands, for people: what waits and for how long, why nothing goes, which channels take nothing. */
import type { HaltCode } from "../../../contract/chat/outbox-codes.ts";
import type { ChatPlatform } from "../../../contract/chat/place.ts";
import type { ChatOutboxStatus } from "../calls.ts";
import type { Governor } from "./governor.ts";
import { channelIn, placeOf } from "./jobs.ts";
import type { DeliveryRows } from "./rows.ts";
import type { Tally } from "./tally.ts";
import type { Whereabouts } from "./whereabouts.ts";

export type DeliveryStatus = Omit<ChatOutboxStatus, "shownRuns" | "polling">;

export interface StatusOptions {
  rows: DeliveryRows;
  governor: Governor;
  whereabouts: Whereabouts;
  tally: Tally;
  platform: ChatPlatform;
  /** The setting without which nothing can be sent. */
  lacks: string | undefined;
  now: number;
}

export function deliveryStatus({
  rows,
  governor,
  whereabouts,
  tally,
  platform,
  lacks,
  now,
}: StatusOptions): DeliveryStatus {
  const waiting = { final: 0, event: 0, state: 0 };
  const byChannel = new Map<string, number>();
  let oldest: number | undefined;
  for (const row of whereabouts.refresh().pending.values()) {
    waiting[row.class] += 1;
    oldest = Math.min(oldest ?? row.createdAt, row.createdAt);
    const place = placeOf(row, whereabouts);
    if (typeof place === "string") continue;
    const channel = channelIn(place);
    byChannel.set(channel, (byChannel.get(channel) ?? 0) + 1);
  }
  const { limited, halted: haltedByPlatform, parked } = governor.status(now);
  const halted = lacks === undefined ? haltedByPlatform : withoutToken(lacks);
  return {
    waiting,
    ...(oldest === undefined ? {} : { oldestMs: Math.max(0, now - oldest) }),
    sent: rows.sentCount(),
    ...tally.counts,
    limited,
    ...(halted === undefined ? {} : { halted }),
    parked: [
      ...[...parked].map(([channel, { code, message, at }]) => ({
        place: `${platform}:${channel}`,
        code,
        message,
        at,
        waiting: byChannel.get(channel) ?? 0,
      })),
      ...rows.refused(now).map(({ target, problem }) => ({ place: target, ...problem, waiting: 1 })),
    ],
  };
}

function withoutToken(setting: string): { code: HaltCode; message: string } {
  return { code: "no_token", message: `no token is set (${setting}); what waits is sent once there is one` };
}
