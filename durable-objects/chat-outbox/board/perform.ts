/** The board's effects as calls of the delivery, which only writes rows: to be called in the board's own transaction. */
import type { Delivery } from "../delivery/delivery.ts";
import type { BoardEffect } from "./effects.ts";

export function perform(delivery: Delivery, effect: BoardEffect): void {
  switch (effect.kind) {
    case "thread":
      delivery.thread(effect.anchor, effect.place, effect.name, effect.first);
      break;
    case "card":
      delivery.card(effect.anchor, effect.target, effect.message, {
        urgent: effect.urgent,
        onlyEdit: effect.onlyEdit === true,
      });
      break;
    case "post":
      delivery.post(effect.key, effect.target, effect.class, effect.message);
      break;
    case "rewrite":
      delivery.rewrite(effect.key, effect.message);
      break;
    case "rewrite_all":
      delivery.rewriteAll(effect.prefix, effect.message);
      break;
    case "close_thread":
      delivery.closeThread(effect.anchor);
      break;
  }
}
