/** Whether relayed sessions may be shown in a channel. Fails closed: what cannot be asked allows nothing. */
import type { ChatPlace } from "../../contract/chat/place.ts";
import type { RelayMode } from "../../contract/relay.ts";
import type { Env } from "../env.ts";

export interface GuardQuestion {
  place: ChatPlace;
  sessionKey?: string | undefined;
  mode: RelayMode;
  commandHint?: string | undefined;
}

export interface GuardVerdict {
  allowed: boolean;
  reason: string;
  /** What turns it on. */
  how?: string;
}

// eslint-disable-next-line @typescript-eslint/require-await
export async function guardAllows(_env: Env, _question: GuardQuestion): Promise<GuardVerdict> {
  return { allowed: false, reason: "this edge has no settings of channels", how: "/codeflow on" };
}

/** Turns the guard of a channel on or off. */
// eslint-disable-next-line @typescript-eslint/require-await
export async function switchGuard(_env: Env, _place: ChatPlace, _on: boolean, _by: string): Promise<void> {
  return undefined;
}

// eslint-disable-next-line @typescript-eslint/require-await
export async function guardIsOn(_env: Env, _place: ChatPlace): Promise<boolean> {
  return false;
}
