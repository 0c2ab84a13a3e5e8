/** The guard of a channel, opened as a person would. */
import type { ChatPlace } from "../../../contract/chat/place.ts";
import { call, expectJson } from "./api.ts";

export async function openGuard(place: ChatPlace): Promise<void> {
  const body = { id: crypto.randomUUID(), place, action: "on", quiet: true };
  await expectJson(call("POST", "/relay/control", { body }), 200);
}
