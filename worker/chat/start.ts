/** What people start from a chat: an event of any type that is deployed, or a Codex run with a prompt. */
import { faultsOfAll } from "./faults.ts";
import { encodeAction } from "../../contract/chat/action.ts";
import type { ChatButton } from "../../contract/chat/message.ts";
import { userLabel } from "../../contract/chat/place.ts";
import { normalizeEvent, type FlowEvent } from "../../contract/flow-event.ts";
import { deeperThan } from "../../contract/json-depth.ts";
import { changedNumbers } from "../../contract/json-numbers.ts";
import { EVENT_MAX_BYTES, EVENT_MAX_DEPTH, PROMPT_MAX_CHARS } from "../../contract/limits.ts";
import { matchEvent } from "../../contract/matching.ts";
import { iso, type RunView } from "../../contract/run-view.ts";
import { checkFlowEvent, notJson } from "../../contract/validate.ts";
import { readSettings } from "../../durable-objects/channel-settings/client.ts";
import type { SessionPolicy } from "../../contract/codex-prompt.ts";
import { catalog } from "../catalog/catalog.ts";
import { dispatchEvent } from "../dispatch.ts";
import type { Env } from "../env.ts";
import { refused, said, type ChatAnswer } from "./answer.ts";
import { eventIdOf, originOf, type Asker } from "./asker.ts";

/** Type of the events that `ask` sends; flows/codex-ask waits for it. */
export const ASK_TYPE = "codex.ask";

/** Sends an event of this type. `payload` is JSON as somebody has typed it; empty text is `{}`. */
export async function dispatch(
  env: Env,
  asker: Asker,
  { type, payload }: { type: string; payload: string },
): Promise<ChatAnswer> {
  const read = typedPayload(payload);
  if ("fault" in read) return refused("invalid_json", "The payload is not JSON", [read.fault]);
  return send(env, asker, type, read.value);
}

export interface Ask {
  prompt: string;
  /** A name of the runner's own table of projects. */
  project?: string;
  /** A folder on the runner's box, below one of its projects or its workspace. */
  workdir?: string;
  session?: SessionPolicy;
}

/** Starts Codex with a prompt, where the channel's settings say, unless the asker says something else. */
export async function ask(env: Env, asker: Asker, given: Ask): Promise<ChatAnswer> {
  const prompt = given.prompt.trim();
  if (prompt === "") return refused("prompt_missing", "Say what Codex is to do");
  if (prompt.length > PROMPT_MAX_CHARS)
    return refused("prompt_too_long", `A prompt has at most ${PROMPT_MAX_CHARS} characters`);
  const settings = await readSettings(env, asker.place);
  // Who names a place means it: the channel's own would contradict it.
  const named = given.project !== undefined || given.workdir !== undefined;
  const { project, workdir } = named ? given : settings;
  return send(env, asker, ASK_TYPE, {
    prompt,
    ...(project === undefined ? {} : { project }),
    ...(workdir === undefined ? {} : { workdir }),
    session: given.session ?? settings.session,
    requester: { platform: asker.place.platform, id: asker.user.id, name: asker.user.name },
    channel: `${asker.place.platform}:${asker.place.channel}`,
  });
}

async function send(env: Env, asker: Asker, type: string, payload: unknown): Promise<ChatAnswer> {
  const checked = checkFlowEvent({ id: eventIdOf(asker), type, source: "chat", payload });
  if (!checked.ok) return refused("invalid", "This is no valid event", faultsOfAll(checked.faults));
  const event = normalizeEvent(checked.value, iso(Date.now()));
  const unfit = whyNothingStarts(event);
  if (unfit !== undefined) return unfit;
  const { status, runs } = await dispatchEvent(env, event, {
    lineage: { rootId: event.id, depth: 0 },
    origin: "event",
    chat: originOf(asker),
  });
  // The platform may bring the same request again, which finds the runs that it has made. Runs of anybody else are not
  // this request's, and are neither shown as started nor booked on the asker.
  if (status === "duplicate" && !(runs.length > 0 && runs.every((run) => isAskedBy(asker, run))))
    return refused("event_exists", "Nothing was started: an event with this request's id was already there", [
      `The event ${event.id} was sent by somebody else. Send your request again: it gets a new id.`,
    ]);
  return started(runs);
}

function isAskedBy({ place, user }: Asker, { requestedBy }: RunView): boolean {
  return requestedBy?.startsWith(userLabel(place.platform, { ...user, name: "" }).slice(0, -1)) === true;
}

/** Somebody who typed a payload wants to see what is wrong with it, not an event that matched nothing. */
function whyNothingStarts(event: FlowEvent): ChatAnswer | undefined {
  const { matches, misses } = matchEvent(event, catalog);
  if (matches.length > 0) return undefined;
  if (misses.length === 0)
    return refused("no_flow", `No deployed flow waits for events of type ${event.type}`, [
      `Known types: ${eventTypes().join(", ") || "none"}`,
    ]);
  return refused(
    "payload_invalid",
    `The payload fits no step that waits for ${event.type}`,
    misses.flatMap(({ flow, step, errors }) =>
      faultsOfAll(errors).map((fault) => `${flow.name}/${step.name}: ${fault}`),
    ),
  );
}

/** Types of events that deployed steps wait for. */
export function eventTypes(): string[] {
  const types = catalog.flows.flatMap((flow) => flow.steps.flatMap((step) => step.trigger?.type ?? []));
  return [...new Set(types)].sort();
}

export function started(runs: RunView[]): ChatAnswer {
  const names = runs.map((run) => `${run.flowName}/${run.stepName}`);
  return said(
    `started ${runs.map((run) => run.id).join(" ")}`,
    runs.length === 1 ? `Started ${names.join("")}` : `Started ${runs.length} runs`,
    {
      tone: "queued",
      lines: runs.map((run, index) => `${names[index] ?? ""} ${run.id}`),
      buttons: runs.slice(0, 5).map((run) => runButtons(run.id)),
    },
  );
}

function runButtons(runId: string): ChatButton[] {
  return [
    { label: "Cancel", style: "danger" as const, action: encodeAction({ act: "cancel", runId }) },
    { label: "Logs", style: "secondary" as const, action: encodeAction({ act: "logs", runId }) },
  ].flatMap(({ action, ...button }) => (action === undefined ? [] : [{ ...button, action }]));
}

/** JSON that somebody has typed, within the bounds of an event's payload. */
export function typedPayload(text: string): { value: unknown } | { fault: string } {
  const trimmed = text.trim();
  if (new TextEncoder().encode(trimmed).length > EVENT_MAX_BYTES)
    return { fault: `is larger than ${EVENT_MAX_BYTES} bytes` };
  if (trimmed === "") return { value: {} };
  try {
    const value: unknown = JSON.parse(trimmed);
    const changed = changedNumbers(trimmed)[0];
    if (changed !== undefined) return { fault: `${changed.path} ${changed.message}`.trim() };
    return deeperThan(value, EVENT_MAX_DEPTH)
      ? { fault: `is nested deeper than ${EVENT_MAX_DEPTH} levels` }
      : { value };
  } catch (error) {
    return { fault: notJson(error) };
  }
}
