/** `/codeflow` from a box: what it does to the guard of a channel, and the answer that is posted there. */
import { placeKey } from "../../contract/chat/place.ts";
import type { ChatMessage } from "../../contract/chat/message.ts";
import type { ControlAnswer, ControlRequest } from "../../contract/relay.ts";
import { outboxName } from "../../durable-objects/chat-outbox/naming.ts";
import { guardIsOn, switchGuard } from "../chat/guard.ts";
import type { Env } from "../env.ts";

export async function control(env: Env, request: ControlRequest): Promise<ControlAnswer> {
  const { place, action, by = "api" } = request;
  if (action === "on" || action === "off") await switchGuard(env, place, action === "on", by);
  const on = await guardIsOn(env, place);
  const message = controlMessage(action, on, placeKey(place));
  const answer = [message.title, ...(message.lines ?? [])].join("\n");
  const posted = request.quiet === true ? false : await post(env, request, message);
  return { guard: on ? "on" : "off", message: answer, posted };
}

/** What the channel reads. */
export function controlMessage(action: ControlRequest["action"], on: boolean, place: string): ChatMessage {
  const state = `Codeflow is ${on ? "on" : "off"} here.`;
  const consequence = on
    ? "Coding agents that are relayed to this channel are shown in it. /codeflow off ends that."
    : "No coding agent is relayed to this channel. /codeflow on allows it.";
  const lines = action === "install" ? [INSTALL, consequence] : [consequence, `Channel ${place}`];
  return { tone: on ? "good" : "neutral", title: state, lines, silent: true };
}

const INSTALL =
  "There is nothing to install: the guard is kept by the edge, which refuses a relay whose channel is off.";

/** False where there is no bot of the platform, or its outbox does not take it: then whoever asked says it himself. */
async function post(env: Env, { id, place }: ControlRequest, message: ChatMessage): Promise<boolean> {
  const name = outboxName(env, place.platform);
  if (name === undefined) return false;
  try {
    await env.CHAT_OUTBOXES.getByName(name).post({ key: `control:${id}`, place, class: "event", message });
    return true;
  } catch (error) {
    console.error(
      JSON.stringify({ message: "the answer to /codeflow was not posted", error: String(error) }),
    );
    return false;
  }
}
