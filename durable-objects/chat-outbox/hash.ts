/** A short fingerprint of a text: equal ones are equal texts. Without a promise, since it decides inside a transaction. */
import { createHash } from "node:crypto";

/** 96 bits. */
const CHARS = 16;

export function fingerprint(text: string): string {
  return createHash("sha256").update(text).digest("base64url").slice(0, CHARS);
}
