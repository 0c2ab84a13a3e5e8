/**
 * Signed events: the ancestor's HMAC header, or Standard Webhooks (https://www.standardwebhooks.com). A signature
 * covers the exact bytes of the body, so it is checked before anything is parsed.
 */
import { UnauthorizedError } from "../../contract/errors.ts";
import { WEBHOOK_TOLERANCE_MS } from "../../contract/limits.ts";
import { STANDARD_WEBHOOK_PREFIX } from "../../contract/secret-list.ts";
import type { Env } from "../env.ts";
import { base64, fromBase64, hex, hmacSha256, matchesAny, secretList } from "./secrets.ts";

const FLOW_HEADERS = ["x-flow-signature-256", "x-patch-flow-signature-256"] as const;
const STANDARD_HEADERS = {
  id: "webhook-id",
  timestamp: "webhook-timestamp",
  signature: "webhook-signature",
} as const;

export type SignatureKind = "flow" | "standard";

/** The kind of signature that a request bears, if any. */
export function signatureKind(headers: Headers): SignatureKind | undefined {
  if (FLOW_HEADERS.some((name) => headers.has(name))) return "flow";
  return headers.has(STANDARD_HEADERS.signature) ? "standard" : undefined;
}

/** Throws UnauthorizedError unless the request's signature is right. */
export async function verifySignature(
  headers: Headers,
  body: Uint8Array,
  env: Env,
  now: number,
): Promise<void> {
  if (signatureKind(headers) === "flow")
    await verifyFlowSignature(headers, body, secretList(env, "EVENT_SECRETS"));
  else await verifyStandardWebhook(headers, body, secretList(env, "WEBHOOK_SECRETS"), now);
}

async function verifyFlowSignature(headers: Headers, body: Uint8Array, secrets: string[]): Promise<void> {
  // As the ancestor: when the first header is there, the second is not looked at.
  const name = headers.has(FLOW_HEADERS[0]) ? FLOW_HEADERS[0] : FLOW_HEADERS[1];
  const given = headers.get(name) ?? "";
  const expected = await Promise.all(
    secrets.map(async (secret) => `sha256=${hex(await hmacSha256(new TextEncoder().encode(secret), body))}`),
  );
  if (!(await matchesAny(given, expected)))
    throw new UnauthorizedError("invalid signature", [
      {
        path: name,
        message: "must be sha256=<lowercase hex HMAC-SHA256 of the exact body> with a configured secret",
      },
    ]);
}

async function verifyStandardWebhook(
  headers: Headers,
  body: Uint8Array,
  secrets: string[],
  now: number,
): Promise<void> {
  const id = headers.get(STANDARD_HEADERS.id) ?? "";
  const timestamp = headers.get(STANDARD_HEADERS.timestamp) ?? "";
  const fail = (path: string, message: string): never => {
    throw new UnauthorizedError("invalid signature", [{ path, message }]);
  };
  if (id === "") fail(STANDARD_HEADERS.id, "is required");
  if (!/^[0-9]{1,12}$/.test(timestamp)) fail(STANDARD_HEADERS.timestamp, "must be seconds since 1970");
  if (Math.abs(now - Number(timestamp) * 1000) > WEBHOOK_TOLERANCE_MS)
    fail(STANDARD_HEADERS.timestamp, `is more than ${WEBHOOK_TOLERANCE_MS / 1000} s from the edge's clock`);

  const prefix = new TextEncoder().encode(`${id}.${timestamp}.`);
  const signed = new Uint8Array(prefix.length + body.length);
  signed.set(prefix);
  signed.set(body, prefix.length);
  const expected = await Promise.all(
    secrets.map(async (secret) => `v1,${base64(await hmacSha256(webhookKey(secret), signed))}`),
  );
  const given = (headers.get(STANDARD_HEADERS.signature) ?? "").split(" ");
  const verdicts = await Promise.all(given.map((signature) => matchesAny(signature, expected)));
  if (!verdicts.includes(true)) fail(STANDARD_HEADERS.signature, "fits no configured webhook secret");
}

/** Standard Webhooks secrets are base64 behind `whsec_`; one that is not is taken as it stands. */
function webhookKey(secret: string): Uint8Array {
  const encoded = secret.startsWith(STANDARD_WEBHOOK_PREFIX)
    ? secret.slice(STANDARD_WEBHOOK_PREFIX.length)
    : secret;
  const key = fromBase64(encoded);
  return key === undefined || key.length === 0 ? new TextEncoder().encode(secret) : key;
}
