/** The signature of an event's body, by WebCrypto alone, so that it works wherever `fetch` does. */

/** The header that carries it. */
export const SIGNATURE_HEADER = "x-flow-signature-256";

/** `sha256=<lowercase hex HMAC-SHA256>` of exactly this body, as UTF-8. */
export async function signBody(secret: string, body: string): Promise<string> {
  const encoder = new TextEncoder();
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", encoder.encode(secret), algorithm, false, ["sign"]);
  const digest = new Uint8Array(await crypto.subtle.sign("HMAC", key, encoder.encode(body)));
  return `sha256=${Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}
