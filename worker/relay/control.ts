/** `/codeflow` from a machine: switches the guard of a channel, and posts the answer there. */
import type { ChatMessage } from "../../contract/chat/message.ts";
import { placeKey } from "../../contract/chat/place.ts";
import type { ControlAnswer, ControlRequest } from "../../contract/relay.ts";
import { noteApiCall } from "../chat/api-audit.ts";
import { lookAtGuard, switchGuard } from "../chat/guard.ts";
import { askOutbox } from "../chat/outbox.ts";
import type { Env } from "../env.ts";

export async function control(env: Env, request: ControlRequest): Promise<ControlAnswer> {
  const { id, place, action, sessionKey, by = "api", quiet = false } = request;
  if (action === "on" || action === "off") {
    await switchGuard(env, place, { on: action === "on", by: `box: ${by}`, sessionKey });
    const whose = sessionKey === undefined ? "for the channel" : `for session ${sessionKey}`;
    await noteApiCall(env, {
      act: `codeflow ${action}`,
      subject: placeKey(place),
      by: `api: ${by}`,
      outcome: whose,
    });
  }
  const { allowed, reason } = await lookAtGuard(env, place, sessionKey);
  const message = controlMessage(action, { allowed, reason, sessionKey });
  // Without a bot, or with one that takes nothing, the caller shows the answer.
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
  sessionKey: string | undefined;
}

/** What the channel reads. */
function controlMessage(
  action: ControlRequest["action"],
  { allowed, reason, sessionKey }: GuardState,
): ChatMessage {
  const whose = sessionKey === undefined ? "" : ` for session ${sessionKey}`;
  const lines = [
    ...(action === "install" ? [INSTALL] : []),
    allowed
      ? `Relays${whose} may post here. Turn this off with /codeflow off.`
      : `Relays${whose} may not post here. Turn this on with /codeflow on.`,
    ...(reason === "other_session" ? ["Other sessions may still post here."] : []),
  ];
  return {
    tone: allowed ? "good" : "neutral",
    title: `Codeflow is ${allowed ? "on" : "off"} here${whose}.`,
    lines,
    silent: true,
  };
}

const INSTALL = "There is nothing to install: the edge refuses relays to a channel where Codeflow is off.";
