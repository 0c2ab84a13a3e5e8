/** The run that a message replies to: by the buttons of the bot's message, or by what the outbox has sent. */
import type { Env } from "../env.ts";
import type { Asker } from "../chat/asker.ts";
import { runOfMessage } from "../chat/outbox.ts";
import type { RepliedTo } from "./update.ts";

export async function runRepliedTo(
  env: Env,
  { place }: Asker,
  { runId, ownMessage }: RepliedTo = {},
): Promise<string | undefined> {
  if (runId !== undefined || ownMessage === undefined) return runId;
  return runOfMessage(env, place, ownMessage);
}
