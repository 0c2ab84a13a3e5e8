/**
 * A look at a run: what its event object and its pool say of it now. Nothing here is written. Whoever looks watches: from
 * then on the event object tells of every change.
 */
import { parseRunId } from "../../../contract/ids.ts";
import type { Env } from "../../../worker/env.ts";
import type { RunGlance } from "../../flow-event/calls.ts";
import { onItsWay, whyWaiting } from "../../runner-pool/why-waiting.ts";
import type { ItemPage } from "./plan.ts";

/** Output that is read with one look; of more, the next look is soon. */
const PAGE_MAX_BYTES = 64 * 1024;
/** Kinds of steps whose output has items. */
const AGENTS: readonly string[] = ["codex", "code-mode", "relay"];

export interface Looked {
  /** Undefined: the run is not stored (any more). */
  glance: RunGlance | undefined;
  page?: ItemPage;
}

export interface LookRequest {
  runId: string;
  /** Name of the outbox that looks. */
  outbox: string;
  /** Where to go on with its items; undefined: nobody wants to see them. */
  after: string | undefined;
  /** Bytes of output behind which there was nothing new. */
  outputRead: number | undefined;
}

export async function lookAt(env: Env, { runId, outbox, after, outputRead }: LookRequest): Promise<Looked> {
  const parsed = parseRunId(runId);
  if (parsed === undefined) return { glance: undefined };
  const event = env.EVENTS.getByName(parsed.eventKey);
  const glance = await event.glance(parsed.n, outbox);
  if (glance === undefined) return { glance };
  const { run } = glance;
  if (run.status === "queued") return { glance: { ...glance, run: await withWaiting(env, run) } };
  if (after === undefined || !AGENTS.includes(run.runner) || run.outputBytes === outputRead)
    return { glance };
  const page = await event.output(parsed.n, after, PAGE_MAX_BYTES);
  if (page === undefined) return { glance };
  return { glance, page: { after, chunks: page.output, more: page.more } };
}

/** A pool that does not answer keeps no card from being drawn. */
async function withWaiting(env: Env, run: RunGlance["run"]): Promise<RunGlance["run"]> {
  try {
    return { ...run, waiting: await whyWaiting(env, run) };
  } catch {
    return { ...run, waiting: onItsWay(run.pool) };
  }
}
