/**
 * Which steps an event starts: exact `type`, then the payload against the step's schema. Several steps may match;
 * there is no order among them. Pure: the compiled validators come from the catalog.
 */
import type { ErrorDetail } from "./errors.ts";
import type { FlowEvent } from "./flow-event.ts";
import type { Flow, FlowStep } from "./flow-manifest.ts";
import { fillPlaceholders, textAt } from "./template.ts";

/** Faults of a payload, empty when it is valid. Paths are JSON pointers that begin with "/payload". */
export type PayloadCheck = (payload: unknown) => ErrorDetail[];

/** The flows that are deployed, with a compiled check for each step that names a schema ("flow/step"). */
export interface FlowCatalog {
  flows: Flow[];
  checks: Partial<Record<string, PayloadCheck>>;
}

export interface StepMatch {
  flow: Flow;
  step: FlowStep;
}
/** A step that waits for this type and does not accept this payload. */
export interface StepMiss extends StepMatch {
  errors: ErrorDetail[];
}

export function stepKey(flow: string, step: string): string {
  return `${flow}/${step}`;
}

/** Narrows a match to one flow or one step, for a replay. */
export interface StepFilter {
  flow?: string | undefined;
  step?: string | undefined;
}

export function matchEvent(
  event: FlowEvent,
  catalog: FlowCatalog,
  only: StepFilter = {},
): { matches: StepMatch[]; misses: StepMiss[] } {
  const matches: StepMatch[] = [];
  const misses: StepMiss[] = [];
  for (const flow of catalog.flows) {
    if (only.flow !== undefined && flow.name !== only.flow) continue;
    for (const step of flow.steps) {
      if (only.step !== undefined && step.name !== only.step) continue;
      if (step.trigger?.type !== event.type) continue;
      const errors = faultsOfPayload(catalog.checks[stepKey(flow.name, step.name)], event.payload);
      if (errors.length === 0) matches.push({ flow, step });
      else misses.push({ flow, step, errors });
    }
  }
  return { matches, misses };
}

/** A check that throws is a miss of its own step: it must cost neither the other steps nor the sender their answer. */
function faultsOfPayload(check: PayloadCheck | undefined, payload: unknown): ErrorDetail[] {
  try {
    return check?.(payload) ?? [];
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return [{ path: "/payload", message: `cannot be checked against the schema: ${why}` }];
  }
}

const CONCURRENCY_KEY_MAX_CHARS = 512;

/**
 * Fills a concurrency key's template from the event: `{{payload.repo}}`. A path that leads nowhere stands as an
 * empty text, so that runs without the value share one key rather than run unbounded.
 */
export function renderConcurrencyKey(template: string, event: FlowEvent): string {
  return fillPlaceholders(template, ({ path }) => textAt(event, path) ?? "").slice(
    0,
    CONCURRENCY_KEY_MAX_CHARS,
  );
}

/**
 * Fills a template that must be filled: what it says, or the placeholders for which the event has nothing (no value,
 * or an empty text) and which do not end in `?`.
 */
export function renderTemplate(
  template: string,
  event: FlowEvent,
): { text: string } | { missing: [string, ...string[]] } {
  const empty: string[] = [];
  const text = fillPlaceholders(template, ({ path, optional }) => {
    const value = textAt(event, path) ?? "";
    if (value === "" && !optional) empty.push(path);
    return value;
  });
  const [first, ...others] = empty;
  return first === undefined ? { text } : { missing: [first, ...others] };
}
