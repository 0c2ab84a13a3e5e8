/**
 * Whether a request is Discord's: its Ed25519 signature over timestamp and body, before anything of the body is read. Discord
 * sends bad signatures on purpose, now and then, and takes away an address that does not answer 401.
 *
 * discord-interactions checks neither the timestamp's age nor a repetition: the one is done here, the other by ChatAccess.
 */
import { verifyKey } from "discord-interactions";
import { UnauthorizedError } from "../../contract/errors.ts";
import { INTERACTION_TOLERANCE_MS } from "../../contract/limits.ts";
import type { Env } from "../env.ts";

const SIGNATURE_HEADER = "x-signature-ed25519";
const TIMESTAMP_HEADER = "x-signature-timestamp";
/** The library reads hexadecimal leniently. */
const SIGNATURE = /^[0-9a-f]{128}$/i;
const TIMESTAMP = /^[0-9]{1,12}$/;
const PUBLIC_KEY = /^[0-9a-f]{64}$/i;

/** Imported once for each isolate, and again when the setting changes. */
let imported: { hex: string; key: Promise<CryptoKey> } | undefined;

/** Not Discord's, or not of this moment. Which of them is for the audit alone. */
export class UnsignedError extends UnauthorizedError {
  readonly kind: "forged" | "stale";

  constructor(kind: "forged" | "stale", path: string, message: string) {
    super("invalid signature", [{ path, message }]);
    this.kind = kind;
  }
}

/** Throws UnsignedError unless Discord has sent it, just now. Closed when no public key is configured. */
export async function verifyInteraction(
  headers: Headers,
  body: Uint8Array,
  env: Env,
  now: number,
): Promise<void> {
  const signature = headers.get(SIGNATURE_HEADER) ?? "";
  const timestamp = headers.get(TIMESTAMP_HEADER) ?? "";
  if (!SIGNATURE.test(signature)) throw unsigned(SIGNATURE_HEADER, "must be 128 hexadecimal digits");
  if (!TIMESTAMP.test(timestamp)) throw unsigned(TIMESTAMP_HEADER, "must be seconds since 1970");
  const hex = env.DISCORD_PUBLIC_KEY?.trim() ?? "";
  if (!PUBLIC_KEY.test(hex) || !(await verifyKey(body, signature, timestamp, await publicKey(hex))))
    throw unsigned(SIGNATURE_HEADER, "does not fit this application");
  if (Math.abs(now - Number(timestamp) * 1000) > INTERACTION_TOLERANCE_MS)
    throw new UnsignedError(
      "stale",
      TIMESTAMP_HEADER,
      `is more than ${INTERACTION_TOLERANCE_MS / 1000} s from the edge's clock`,
    );
}

function publicKey(hex: string): Promise<CryptoKey> {
  if (imported?.hex !== hex) {
    const bytes = Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
    const key = crypto.subtle.importKey("raw", bytes, { name: "ed25519" }, false, ["verify"]);
    imported = { hex, key };
  }
  return imported.key;
}

function unsigned(path: string, message: string): UnsignedError {
  return new UnsignedError("forged", path, message);
}
