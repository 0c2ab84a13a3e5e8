/**
 * Secrets as lists, so that they can be rotated without downtime: put the new one beside the old, move the senders,
 * take the old one out. Comparisons take the same time whatever the difference is, and look at every candidate.
 */

/** The secrets of a setting: separated by commas or white space. */
export function secretList(setting: string | undefined): string[] {
  return (setting ?? "").split(/[\s,]+/).filter((secret) => secret !== "");
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

/** By setting: they stay the same as long as this isolate lives, and each request asks for all of them. */
const digests = new Map<string, ArrayBuffer[]>();

/** Digests of the secrets of a setting. */
export async function secretDigests(setting: string | undefined): Promise<ArrayBuffer[]> {
  const key = setting ?? "";
  const known = digests.get(key);
  if (known !== undefined) return known;
  const made = await Promise.all(secretList(key).map(sha256));
  digests.set(key, made);
  return made;
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
