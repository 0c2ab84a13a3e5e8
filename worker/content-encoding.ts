/** Bodies that their sender has compressed. */
import { brotliDecompressSync, gunzipSync, inflateSync } from "node:zlib";
import { BadRequestError, PayloadTooLargeError, UnsupportedEncodingError } from "../contract/errors.ts";
import type { SentBody } from "./body.ts";

/** Bounds what is unpacked while it is unpacked, so that a small body cannot fill the isolate's memory. */
type Unpack = (bytes: Uint8Array, options: { maxOutputLength: number }) => Uint8Array;

const UNPACKERS = new Map<string, Unpack>([
  ["gzip", gunzipSync],
  ["x-gzip", gunzipSync],
  ["deflate", inflateSync],
  ["br", brotliDecompressSync],
]);

/** What `accept-encoding` of a refusal names (RFC 9110, 15.5.16). */
export const ACCEPTED_ENCODINGS = "gzip, deflate, br";

/** The bytes that the sender compressed, at most as many as the bound of the body. */
export function unpacked(headers: Headers, { bytes, what, limitBytes }: SentBody): Uint8Array {
  const encoding = (headers.get("content-encoding") ?? "identity").trim().toLowerCase();
  if (encoding === "identity" || encoding === "") return bytes;
  const unpack = UNPACKERS.get(encoding);
  if (unpack === undefined) throw new UnsupportedEncodingError(encoding, ACCEPTED_ENCODINGS);
  try {
    return unpack(bytes, { maxOutputLength: limitBytes });
  } catch (error) {
    // workerd's word for more than maxOutputLength.
    if (error instanceof RangeError) throw new PayloadTooLargeError(`${what}, unpacked,`, limitBytes);
    throw new BadRequestError(
      "invalid_encoding",
      `the body is not ${encoding}, as its content-encoding says`,
      [{ path: "content-encoding", message: "does not fit the body" }],
    );
  }
}
