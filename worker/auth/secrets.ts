/**
 * The configured secrets, and comparisons with them. A comparison takes the same time whatever the difference is, and
 * looks at every candidate.
 */
import { readSecretList } from "../../contract/secret-list.ts";
import type { Env } from "../env.ts";

/** Settings of the Worker that hold lists of secrets. */
export type SecretSetting = Extract<keyof Env, `${string}_TOKENS` | `${string}_SECRETS`>;

/** By setting and its value. They stay the same as long as this isolate lives, and each request asks for them. */
const lists = new Map<string, { secrets: string[]; digests?: ArrayBuffer[] }>();

/** The usable secrets of a setting. The first look in an isolate logs those that are not used, by position alone. */
export function secretList(env: Env, setting: SecretSetting): string[] {
  return listOf(env, setting).secrets;
}

function listOf(env: Env, setting: SecretSetting): { secrets: string[]; digests?: ArrayBuffer[] } {
  const key = `${setting}=${env[setting] ?? ""}`;
  const known = lists.get(key);
  if (known !== undefined) return known;
  const { secrets, unused } = readSecretList(env[setting]);
  for (const { position, reason } of unused)
    console.warn(
      JSON.stringify({
        message: `value ${position} of ${setting} is not used: ${reason}. Make one with: openssl rand -hex 32`,
        setting,
        position,
      }),
    );
  const made = { secrets };
  lists.set(key, made);
  return made;
}

const encoder = new TextEncoder();

/** True when `given` equals one of `known`. Compares digests, which have one length. */
export async function matchesAny(given: string, known: string[]): Promise<boolean> {
  return isOneOf(await sha256(given), await Promise.all(known.map(sha256)));
}

/** The same for digests. */
export function isOneOf(digest: ArrayBuffer, candidates: readonly ArrayBuffer[]): boolean {
  return candidates.reduce(
    (found, candidate) => crypto.subtle.timingSafeEqual(digest, candidate) || found,
    false,
  );
}

/** Digests of the usable secrets of a setting. */
export async function secretDigests(env: Env, setting: SecretSetting): Promise<ArrayBuffer[]> {
  const list = listOf(env, setting);
  list.digests ??= await Promise.all(list.secrets.map(sha256));
  return list.digests;
}

export async function sha256(text: string): Promise<ArrayBuffer> {
  return crypto.subtle.digest("SHA-256", encoder.encode(text));
}

/** sha256 as lowercase hex. */
export async function sha256Hex(text: string): Promise<string> {
  return hex(await sha256(text));
}

export async function hmacSha256(key: Uint8Array, message: Uint8Array): Promise<ArrayBuffer> {
  const imported = await crypto.subtle.importKey("raw", key, { name: "HMAC", hash: "SHA-256" }, false, [
    "sign",
  ]);
  return crypto.subtle.sign("HMAC", imported, message);
}

export function hex(bytes: ArrayBuffer): string {
  return [...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function base64(bytes: ArrayBuffer): string {
  return btoa(String.fromCharCode(...new Uint8Array(bytes)));
}

/** Bytes of a base64 text, or undefined for anything else. */
export function fromBase64(text: string): Uint8Array | undefined {
  try {
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  } catch {
    return undefined;
  }
}
