/** Reading what somebody sent: bounded, JSON or a clear error (invariants 12 and 13). */
import {
  BadRequestError,
  PayloadTooLargeError,
  UnsupportedMediaTypeError,
  ValidationError,
} from "../contract/errors.ts";
import { notJson, type Checked } from "../contract/validate.ts";

/** The body's bytes. Throws PayloadTooLargeError as soon as it is known to be larger than `limitBytes`. */
export async function readBytes(request: Request, what: string, limitBytes: number): Promise<Uint8Array> {
  if (Number(request.headers.get("content-length") ?? 0) > limitBytes)
    throw new PayloadTooLargeError(what, limitBytes);
  if (request.body === null) return new Uint8Array();
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of readable(request.body)) {
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
  return bytes;
}

/** The parts of a body. A client that goes away amid its upload is no fault of the edge: 400, and nothing is logged. */
async function* readable(body: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = body.getReader();
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
    // Also of a body that turned out too large: nobody reads the rest.
    reader.cancel().catch(() => undefined);
  }
}

/** A JSON body as a checked value; an empty body is `whenEmpty` where that is given. */
export function parseJson<T>(
  request: Request,
  bytes: Uint8Array,
  check: (value: unknown) => Checked<T>,
  whenEmpty?: unknown,
): T {
  if (bytes.length === 0 && whenEmpty !== undefined) return checkedValue(check(whenEmpty));
  const contentType = request.headers.get("content-type");
  // As the ancestor, which ignores the type: `curl -d` calls JSON a form. It guards nothing here, since no browser
  // sends a token or a signature by itself. Only one that says outright that this is something else is refused.
  if (contentType !== null && !/json|text\/plain|octet-stream|x-www-form-urlencoded/i.test(contentType))
    throw new UnsupportedMediaTypeError(contentType);
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(bytes);
  } catch {
    throw new BadRequestError("invalid_encoding", "the body is not UTF-8", [
      { path: "", message: "is not UTF-8" },
    ]);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const why = notJson(error);
    throw new BadRequestError("invalid_json", `the body ${why}`, [{ path: "", message: why }]);
  }
  return checkedValue(check(value));
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
