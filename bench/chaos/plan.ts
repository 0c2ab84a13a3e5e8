/**
 * What a run of chaos sends and breaks, and when: made from the seed alone, before anything starts, so that the same
 * seed asks for the same things in the same order. What they meet is up to the machine's timing.
 */

/** What an event asks its steps to do; the flow packages stand in workload.ts. */
export const KINDS = ["quick", "long", "retried", "keyed", "chaining", "pair"] as const;
export type Kind = (typeof KINDS)[number];

export interface PlannedEvent {
  id: string;
  kind: Kind;
  payload: StepPayload;
  /** After the round's beginning. */
  atMs: number;
  /** How many senders send it at that moment. */
  copies: number;
  /** It is sent once more, so long after that. */
  againAfterMs: number | undefined;
}

export interface StepPayload {
  /** Numbered lines to print, with this pause behind each. */
  lines: number;
  pauseMs: number;
  /** Concurrency key of kind `keyed`. */
  key?: string;
  /** FLOW_RESULT's next events. */
  next?: { id: string; type: string; payload: StepPayload }[];
}

export const AGENTS = ["first", "second"] as const;
export type AgentName = (typeof AGENTS)[number];

export type Fault = { atMs: number } & (
  | { kind: "kill edge" }
  | { kind: "kill agent"; agent: AgentName }
  /** `pick`, between 0 and 1, chooses among the steps that run by then. */
  | { kind: "kill step"; pick: number }
  | { kind: "cut"; agent: AgentName }
  /** The side of each connection that is reset; the other one is not told. */
  | { kind: "half-open"; agent: AgentName; side: "near" | "far" }
  /** Nothing passes for so long, and nothing is lost. */
  | { kind: "stall"; agent: AgentName; forMs: number }
  /** SIGSTOP, and SIGCONT after so long. */
  | { kind: "freeze"; agent: AgentName; forMs: number }
);
export type FaultKind = Fault["kind"];

/** How often each kind comes up, relative to the others. */
const WEIGHTS: Record<FaultKind, number> = {
  "kill edge": 3,
  "kill agent": 4,
  "kill step": 4,
  cut: 4,
  "half-open": 1,
  stall: 2,
  freeze: 2,
};
export const FAULT_KINDS = Object.keys(WEIGHTS) as FaultKind[];

export interface Round {
  events: PlannedEvent[];
  faults: Fault[];
}

/** Events and faults of a round begin within this time. */
export const ROUND_MS = 2_500;
/** Enough that most faults meet runs in the middle. */
const EVENTS_MIN = 10;
const EVENTS_MAX = 20;
const FAULTS_MAX = 3;
/** Less than the time after which a runner is declared lost: whoever comes back goes on. */
const AWAY_MAX_MS = 5_000;
const AGAIN_MAX_MS = 8_000;

export function planRounds(seed: number, rounds: number): Round[] {
  const random = randomNumbers(seed);
  return Array.from({ length: rounds }, (_unused, round) => ({
    events: Array.from({ length: random.between(EVENTS_MIN, EVENTS_MAX) }, (_none, n) =>
      planEvent(`chaos:${seed}:${round + 1}:${n + 1}`, random),
    ),
    faults: Array.from({ length: random.between(1, FAULTS_MAX) }, () => planFault(random)),
  }));
}

function planEvent(id: string, random: RandomNumbers): PlannedEvent {
  const kind = random.among(KINDS);
  return {
    id,
    kind,
    payload: planPayload(id, kind, random),
    atMs: random.between(0, ROUND_MS),
    copies: random.between(1, 4) === 4 ? random.between(2, 10) : 1,
    againAfterMs: random.between(1, 3) === 3 ? random.between(0, AGAIN_MAX_MS) : undefined,
  };
}

function planPayload(id: string, kind: Kind, random: RandomNumbers): StepPayload {
  switch (kind) {
    case "quick":
    case "pair":
      return { lines: 2, pauseMs: 0 };
    case "long":
    case "retried":
      return { lines: random.between(20, 50), pauseMs: 50 };
    case "keyed":
      return { lines: 4, pauseMs: 60, key: random.among(["red", "green"]) };
    case "chaining":
      return {
        lines: 2,
        pauseMs: 20,
        next: [{ id: `${id}:next`, type: "chaos.quick", payload: { lines: 1, pauseMs: 0 } }],
      };
  }
}

function planFault(random: RandomNumbers): Fault {
  const atMs = random.between(0, ROUND_MS);
  const agent = random.among(AGENTS);
  const kind = random.among(FAULT_KINDS.flatMap((one) => Array<FaultKind>(WEIGHTS[one]).fill(one)));
  switch (kind) {
    case "kill edge":
      return { atMs, kind };
    case "kill step":
      return { atMs, kind, pick: random.next() };
    case "kill agent":
    case "cut":
      return { atMs, kind, agent };
    case "half-open":
      return { atMs, kind, agent, side: random.among(["near", "far"]) };
    case "stall":
    case "freeze":
      return { atMs, kind, agent, forMs: random.between(500, AWAY_MAX_MS) };
  }
}

/** A fault in words, for the log that a failure prints. */
export function describeFault(fault: Fault): string {
  const at = `${(fault.atMs / 1000).toFixed(1)} s`;
  const whom = "agent" in fault ? ` ${fault.agent}` : "";
  const how = "forMs" in fault ? ` for ${(fault.forMs / 1000).toFixed(1)} s` : "";
  const side = "side" in fault ? ` (${fault.side} side dead)` : "";
  return `${fault.kind}${whom}${side}${how} at ${at}`;
}

interface RandomNumbers {
  /** From 0 to 1, without 1. */
  next(): number;
  /** A whole number, both ends included. */
  between(least: number, most: number): number;
  among<T>(all: readonly [T, ...T[]] | readonly T[]): T;
}

/** Mulberry32: small, and equal on every machine. */
function randomNumbers(seed: number): RandomNumbers {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return {
    next,
    between: (least, most) => least + Math.floor(next() * (most - least + 1)),
    among: <T>(all: readonly T[]): T => {
      const chosen = all[Math.floor(next() * all.length)];
      if (chosen === undefined) throw new Error("nothing to choose from");
      return chosen;
    },
  };
}
