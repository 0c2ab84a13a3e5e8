/**
 * The settings of a channel as everybody else sees them. The only file that touches itty-durable's stub, since awaiting
 * that stub, or returning it from an async function, hangs for ever.
 *
 * The platform's outbox has to know what a channel follows. It is told after each change; when that fails, the settings
 * say so (`toldRev` behind `followsRev`), and whoever reads them next tells it again. Telling it twice changes nothing.
 */
import { proxyDurable } from "itty-durable/proxy-durable.js";
import { channelOf, placeKey, type ChatPlace } from "../../contract/chat/place.ts";
import type { Env } from "../../worker/env.ts";
import { outboxName } from "../chat-outbox/naming.ts";
import { packed } from "./packing.ts";
import type { Guard, Settings, SettingsAnswer, SettingsChange } from "./settings.ts";

/** Settings of the channel that a place is in. */
export async function readSettings(env: Env, place: ChatPlace): Promise<Settings> {
  const settings = (await call(env, place, "read")) as Settings;
  return tellOutbox(env, place, settings);
}

/** The same without telling anybody anything: for who only asks. */
export async function glanceAtSettings(env: Env, place: ChatPlace): Promise<Settings> {
  return (await call(env, place, "read")) as Settings;
}

export async function changeChannel(
  env: Env,
  place: ChatPlace,
  change: SettingsChange,
): Promise<SettingsAnswer> {
  const answer = (await call(env, place, "change", packed(change))) as SettingsAnswer;
  return answer.kind === "set"
    ? { kind: "set", settings: await tellOutbox(env, place, answer.settings) }
    : answer;
}

export async function guardChannel(env: Env, place: ChatPlace, guard: Guard): Promise<SettingsAnswer> {
  return (await call(env, place, "guard", packed(guard))) as SettingsAnswer;
}

function tellNewest(env: Env, place: ChatPlace, settings: Settings): Promise<Settings> {
  return tellOutbox(env, place, { ...settings, toldRev: 0 });
}

function call(env: Env, place: ChatPlace, method: string, ...given: string[]): Promise<unknown> {
  const channel = proxyDurable(env.CHANNEL_SETTINGS, { parse: true }).get(placeKey(channelOf(place)));
  const answer = channel[method]?.(...given);
  return answer ?? Promise.reject(new Error(`channel settings have no ${method}`));
}

async function tellOutbox(env: Env, place: ChatPlace, settings: Settings): Promise<Settings> {
  if (settings.toldRev >= settings.followsRev) return settings;
  const name = outboxName(env, place.platform);
  if (name === undefined) return settings;
  const { flows, types, threads, output, safe, listen } = settings;
  try {
    await env.CHAT_OUTBOXES.getByName(name).setFollows({
      place: channelOf(place),
      flows,
      types,
      threads,
      output,
      safe,
      ...(listen === undefined ? {} : { listen }),
    });
    const told = (await call(env, place, "told", String(settings.followsRev))) as SettingsAnswer;
    if (told.kind !== "set") return settings;
    // Somebody changed them meanwhile, and may have told it before us: the newest has the last word.
    return told.settings.followsRev > settings.followsRev
      ? await tellNewest(env, place, told.settings)
      : told.settings;
  } catch (error) {
    console.warn(
      JSON.stringify({
        message: "the chat outbox could not be told what a channel follows",
        place: placeKey(place),
        error: String(error),
      }),
    );
    return settings;
  }
}
