/** Headers of signed requests, as their senders make them. */
import { env } from "cloudflare:workers";
import { Webhook } from "standardwebhooks";

/** `sha256=<hex HMAC of the body>`, with a secret of the Worker under test unless another one is given. */
export async function flowSignature(
  body: string | Uint8Array,
  secret = firstOf(env.EVENT_SECRETS),
): Promise<string> {
  const encoder = new TextEncoder();
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", encoder.encode(secret), algorithm, false, ["sign"]);
  const bytes = typeof body === "string" ? encoder.encode(body) : body;
  const mac = new Uint8Array(await crypto.subtle.sign("HMAC", key, bytes));
  return `sha256=${[...mac].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

/** The headers of a Standard Webhooks sender, made by the standard's own library. */
export function standardWebhook(body: string, secret = firstOf(env.WEBHOOK_SECRETS)): Record<string, string> {
  const id = "msg_1";
  const at = new Date();
  return {
    "webhook-id": id,
    "webhook-timestamp": String(Math.floor(at.getTime() / 1000)),
    "webhook-signature": new Webhook(secret).sign(id, at, body),
  };
}

function firstOf(setting: string | undefined): string {
  return (setting ?? "").split(",")[0] ?? "";
}
