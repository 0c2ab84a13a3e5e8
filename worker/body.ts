/** Reading what somebody sent: bounded, unpacked, JSON or a clear error (invariants 12 and 13). */
import {
  BadRequestError,
  PayloadTooLargeError,
  UnsupportedMediaTypeError,
  ValidationError,
} from "../contract/errors.ts";
import { changedNumbers } from "../contract/json-numbers.ts";
import { notJson, type Checked } from "../contract/validate.ts";
import { unpacked } from "./content-encoding.ts";

/** A body as it was sent: signatures cover these bytes, compressed or not. */
export interface SentBody {
  bytes: Uint8Array;
  /** What the errors call it. */
  what: string;
  /** Bound of the bytes as sent, and of what they unpack to. */
  limitBytes: number;
}

/** The body as sent. Throws PayloadTooLargeError as soon as it is known to be larger than `limitBytes`. */
export async function readBytes(request: Request, what: string, limitBytes: number): Promise<SentBody> {
  if (Number(request.headers.get("content-length") ?? 0) > limitBytes)
    throw new PayloadTooLargeError(what, limitBytes);
  const stream = request.body as ReadableStream<Uint8Array> | null;
  if (stream === null) return { bytes: new Uint8Array(), what, limitBytes };
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of partsOf(stream)) {
    size += part.byteLength;
    if (size > limitBytes) throw new PayloadTooLargeError(what, limitBytes);
    parts.push(part);
  }
  const bytes = new Uint8Array(size);
  let offset = 0;
  for (const part of parts) {
    bytes.set(part, offset);
    offset += part.byteLength;
  }
  return { bytes, what, limitBytes };
}

/** A client that goes away during its upload is no fault of the edge: the answer is a 400, and nothing is logged. */
async function* partsOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read().catch(() => {
        throw new BadRequestError("body_incomplete", "the connection ended before the whole body was there", [
          { path: "", message: "is incomplete" },
        ]);
      });
      if (done) return;
      yield value;
    }
  } finally {
    // Stop the upload: nobody reads the rest of a body that is too large.
    reader.cancel().catch(() => undefined);
  }
}

/**
 * A JSON body as a checked value; an empty body is `whenEmpty` where that is given. Throws ValidationError for a number
 * that would be stored as another one.
 */
export function parseJson<T>(
  request: Request,
  body: SentBody,
  check: (value: unknown) => Checked<T>,
  whenEmpty?: unknown,
): T {
  if (body.bytes.length === 0 && whenEmpty !== undefined) return checkedValue(check(whenEmpty));
  const { text, value } = readJson(request, body);
  const changed = changedNumbers(text);
  return checkedValue(changed.length === 0 ? check(value) : { ok: false, faults: changed });
}

/**
 * A JSON body of any form. For what chat platforms send: they are answered whatever numbers they invent, since a
 * platform repeats what is refused, and the edge keeps none of those numbers.
 */
export function readJson(request: Request, body: SentBody): { text: string; value: unknown } {
  const contentType = request.headers.get("content-type");
  // As the ancestor, which ignores the type: `curl -d` calls JSON a form. It guards nothing here, since no browser
  // sends a token or a signature by itself. Only one that says outright that this is something else is refused.
  if (contentType !== null && !/json|text\/plain|octet-stream|x-www-form-urlencoded/i.test(contentType))
    throw new UnsupportedMediaTypeError(contentType);
  let text: string;
  try {
    const bytes = unpacked(request.headers, body);
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(bytes);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new BadRequestError("invalid_encoding", "the body is not UTF-8", [
      { path: "", message: "is not UTF-8" },
    ]);
  }
  try {
    return { text, value: JSON.parse(text) };
  } catch (error) {
    const why = notJson(error);
    throw new BadRequestError("invalid_json", `the body ${why}`, [{ path: "", message: why }]);
  }
}

function checkedValue<T>(checked: Checked<T>): T {
  if (checked.ok) return checked.value;
  const first = checked.faults[0];
  throw new ValidationError(
    "invalid",
    first === undefined ? "the body is not valid" : `${first.path || "the body"} ${first.message}`,
    checked.faults,
  );
}
