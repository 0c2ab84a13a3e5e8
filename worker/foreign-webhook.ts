/**
 * Webhooks of other products, whose bodies are no events of this edge. They are refused with what to do, and never
 * stored with an empty payload. Pure.
 */
import { ValidationError } from "../contract/errors.ts";

interface Sender {
  name: string;
  /** Where the sender puts what an event has in `id`, `type` and `payload`. */
  id: string;
  type: string;
  payload: string;
}

const GITHUB: Sender = {
  name: "GitHub",
  id: "x-github-delivery",
  type: '"github." and x-github-event',
  payload: "the body",
};
const CLOUD_EVENTS_BINARY: Sender = {
  name: "CloudEvents (binary mode)",
  id: "ce-id",
  type: "ce-type",
  payload: "the body",
};
const CLOUD_EVENTS: Sender = { name: "CloudEvents", id: "/id", type: "/type", payload: "/data" };
const STANDARD_WEBHOOKS: Sender = {
  name: "Standard Webhooks",
  id: "webhook-id",
  type: "/type",
  payload: "/data",
};
const SVIX: Sender = { name: "Svix", id: "svix-id", type: "/type", payload: "/data" };
const WITH_DATA: Sender = { name: "the sender", id: "/id", type: "/type", payload: "/data" };

/** A product that is known by the headers of its requests. */
export function foreignSender(headers: Headers): Sender | undefined {
  if (headers.has("x-github-event") || headers.has("x-hub-signature-256")) return GITHUB;
  if (headers.has("ce-specversion") || headers.has("ce-id") || headers.has("ce-type"))
    return CLOUD_EVENTS_BINARY;
  return headers.has("svix-id") || headers.has("svix-signature") ? SVIX : undefined;
}

/** Throws ValidationError for a body in the form of another product. */
export function refuseForeignBody(headers: Headers, body: unknown): void {
  if (isWholeEvent(body)) return;
  const sender = foreignSender(headers) ?? senderOfBody(headers, body);
  if (sender !== undefined) throw foreignWebhook(sender);
}

/** An event says what it carries in `payload`: whatever else its sender puts in, nothing of it is lost unseen. */
function isWholeEvent(body: unknown): boolean {
  return isObject(body) && typeof body["id"] === "string" && "payload" in body;
}

function senderOfBody(headers: Headers, body: unknown): Sender | undefined {
  if (!isObject(body)) return undefined;
  if (typeof body["specversion"] === "string") return CLOUD_EVENTS;
  if (!("data" in body) || "payload" in body) return undefined;
  return headers.has("webhook-id") ? STANDARD_WEBHOOKS : WITH_DATA;
}

export function foreignWebhook(sender: Sender): ValidationError {
  return new ValidationError("foreign_webhook", howToWrap(sender), [
    { path: "/payload", message: `is required: send ${sender.payload} as the payload` },
  ]);
}

/** What has to stand between this sender and the edge. */
export function howToWrap({ name, id, type, payload }: Sender): string {
  return `this is a webhook of ${name}, and its body is not an event of this edge: put a CI job or a proxy between that sends {"id", "type", "payload"} with id from ${id}, type from ${type} and payload from ${payload} (docs/http.md, "Webhooks of other products")`;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}
