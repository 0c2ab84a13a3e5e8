/** `/codeflow` from a box: what it does to the guard of a channel, and the answer that is posted there. */
import type { ChatMessage } from "../../contract/chat/message.ts";
import { placeKey } from "../../contract/chat/place.ts";
import type { ControlAnswer, ControlRequest } from "../../contract/relay.ts";
import { lookAtGuard, switchGuard } from "../chat/guard.ts";
import { askOutbox } from "../chat/outbox.ts";
import type { Env } from "../env.ts";

export async function control(env: Env, request: ControlRequest): Promise<ControlAnswer> {
  const { id, place, action, sessionKey, by = "api", quiet = false } = request;
  if (action === "on" || action === "off")
    await switchGuard(env, place, { on: action === "on", by: `box: ${by}`, sessionKey });
  const { allowed, reason } = await lookAtGuard(env, place, sessionKey);
  const message = controlMessage(action, { allowed, reason, place: placeKey(place), sessionKey });
  // Without a bot, or with one that takes nothing, whoever asked says it himself.
  const posted = quiet
    ? undefined
    : await askOutbox(env, place.platform, async (outbox) => {
        const { status } = await outbox.post({ key: `control:${id}`, place, class: "event", message });
        return status !== "full";
      });
  return {
    guard: allowed ? "on" : "off",
    message: [message.title, ...(message.lines ?? [])].join("\n"),
    posted: posted === true,
  };
}

interface GuardState {
  allowed: boolean;
  reason: string;
  place: string;
  sessionKey: string | undefined;
}

/** What the channel reads. */
function controlMessage(
  action: ControlRequest["action"],
  { allowed, reason, place, sessionKey }: GuardState,
): ChatMessage {
  const whose = sessionKey === undefined ? "" : ` for session ${sessionKey}`;
  const lines = [
    ...(action === "install" ? [INSTALL] : []),
    allowed
      ? "Coding agents that are relayed here are shown in this channel. /codeflow off ends that."
      : "No coding agent is relayed to this channel. /codeflow on allows it.",
    ...(reason === "other_session" ? ["It is on for another session."] : []),
    `Channel ${place}`,
  ];
  return {
    tone: allowed ? "good" : "neutral",
    title: `Codeflow is ${allowed ? "on" : "off"} here${whose}.`,
    lines,
    silent: true,
  };
}

const INSTALL =
  "There is nothing to install: the edge itself keeps the guard, and refuses a relay whose channel is off.";
