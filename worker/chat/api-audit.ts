/** What callers of the HTTP interface decide, in the same audit as what people decide in chats. */
import type { ApiCall } from "../../durable-objects/chat-access/calls.ts";
import { CHAT_ACCESS } from "../../durable-objects/chat-access/naming.ts";
import type { Env } from "../env.ts";

/** Never rejects: the decision is stored already, and the caller must not be told that it failed. */
export async function noteApiCall(env: Env, call: ApiCall): Promise<void> {
  try {
    await env.CHAT_ACCESS.getByName(CHAT_ACCESS).noteApiCall(call);
  } catch (error) {
    console.error(
      JSON.stringify({ message: "a decision over HTTP is not in the audit", ...call, error: String(error) }),
    );
  }
}
