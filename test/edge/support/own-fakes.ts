/** Fake chats of one test, without limits, which are stopped when it is over; and what stands in them. */
import { onTestFinished } from "vitest";
import {
  inChannel,
  look,
  startDiscord,
  startTelegram,
  tell,
  type DiscordFake,
  type TelegramFake,
} from "./chat-fakes.ts";

export const CREATE = "POST /channels/{channel_id}/messages";
export const EDIT = "PATCH /channels/{channel_id}/messages/{message_id}";

export async function ownDiscord(): Promise<DiscordFake> {
  const fake = await startDiscord({ limits: "none" });
  onTestFinished(async () => {
    await tell(fake, { do: "stop" });
  });
  return fake;
}

export async function ownTelegram(): Promise<TelegramFake> {
  const fake = await startTelegram({ limits: "none" });
  onTestFinished(async () => {
    await tell(fake, { do: "stop" });
  });
  return fake;
}

/** Texts of a channel, without markup. */
export async function textsIn(fake: { id: string }, channel: string): Promise<string[]> {
  return inChannel(await look(fake), channel).map(({ text }) =>
    text.replaceAll(/<[^>]*>|[^\x20-\x7e\n]/g, "").replace(/^[# ]+/, ""),
  );
}

/** Requests that came by this method. */
export async function requestsBy(fake: { id: string }, method: string): Promise<number> {
  return (await look(fake)).requests.filter((request) => request.method === method).length;
}
