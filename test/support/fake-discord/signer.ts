/** Discord's Ed25519 key of an application, and requests that bear its signature, or a spoiled one. */
import { createPrivateKey, createPublicKey, generateKeyPairSync, sign, type KeyObject } from "node:crypto";

/** DER of a PKCS8 Ed25519 key up to its 32 bytes. */
const PKCS8_PREFIX = Buffer.from("302e020100300506032b657004220420", "hex");
const KEY_BYTES = 32;

/**
 * - `forged`: signed with another key; `tampered`: changed after it was signed; `truncated`: cut after it was signed;
 * - `unsigned`, `no_timestamp`: without that header; `short`: half a signature.
 */
export type Spoiling = "forged" | "tampered" | "truncated" | "unsigned" | "no_timestamp" | "short";

export interface Signed {
  headers: Record<string, string>;
  body: Buffer;
}

export class Signer {
  readonly #key: KeyObject;
  readonly #other = generateKeyPairSync("ed25519").privateKey;
  /** Hex, as the developer portal shows it. */
  readonly publicKey: string;

  constructor(seed?: string) {
    this.#key =
      seed === undefined
        ? generateKeyPairSync("ed25519").privateKey
        : createPrivateKey({
            key: Buffer.concat([PKCS8_PREFIX, Buffer.from(seed, "hex")]),
            format: "der",
            type: "pkcs8",
          });
    const spki = createPublicKey(this.#key).export({ format: "der", type: "spki" });
    this.publicKey = spki.subarray(-KEY_BYTES).toString("hex");
  }

  /** The timestamp is in seconds, as Discord sends it. */
  sign(payload: string, atMs: number, spoiling?: Spoiling): Signed {
    const timestamp = String(Math.floor(atMs / 1000));
    const key = spoiling === "forged" ? this.#other : this.#key;
    const signature = sign(null, Buffer.from(timestamp + payload), key).toString("hex");
    const headers: Record<string, string> = {
      "content-type": "application/json",
      "user-agent": "Discord-Interactions/1.0 (+https://discord.com)",
    };
    if (spoiling !== "unsigned")
      headers["x-signature-ed25519"] =
        spoiling === "short" ? signature.slice(0, signature.length / 2) : signature;
    if (spoiling !== "no_timestamp") headers["x-signature-timestamp"] = timestamp;
    return { headers, body: Buffer.from(spoil(payload, spoiling)) };
  }
}

function spoil(payload: string, spoiling: Spoiling | undefined): string {
  if (spoiling === "truncated") return payload.slice(0, -1);
  // Still JSON, and another text: what a verifier that parses first would let through.
  if (spoiling === "tampered") return payload.replace(/\}$/, ',"tampered":true}');
  return payload;
}
