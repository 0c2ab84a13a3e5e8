/**
 * One session from the question to the guard to the last acknowledgement: begins it at the edge, carries it over the run
 * socket as an attempt like any other (journal, lease, resume, acknowledgement), and says how it ended.
 *
 * Nothing is started before the edge has said that it may be (contract/relay, R1). From then on the edge may come and go:
 * what the session tells stands in the journal until the edge has it (invariant 8).
 */
import { constants, hostname, userInfo } from "node:os";
import type { EdgeClient } from "../../client/http.ts";
import type { ChatPlace } from "../../contract/chat/place.ts";
import { claimProof, newClaimKey } from "../../contract/claim-proof.ts";
import type { StartableStep } from "../../contract/flow-manifest.ts";
import { RELAY_FLOW, RELAY_STEP, type RelayMode } from "../../contract/relay.ts";
import type { FlowResult } from "../../contract/flow-result.ts";
import type { AttemptEnd } from "../../contract/run-record.ts";
import { Attempt, type AttemptFate } from "../attempt.ts";
import type { StepEnvironment } from "../config/step-environment.ts";
import { WORKTREES_DEFAULT_MAX, WORKTREES_DEFAULT_MAX_GB } from "../config/runner-config.ts";
import { Journal } from "../journal/journal.ts";
import type { AgentLog } from "../log.ts";
import { Countdown } from "../steps/clocks.ts";
import type { StartStep } from "../steps/start-step.ts";
import { Workspaces } from "../workspace/workspaces.ts";
import {
  announceSession,
  journalIn,
  noteDelivery,
  removeJournal,
  type ActiveSession,
} from "./relay-folder.ts";
import type { StreamLog } from "./stream-log.ts";
import { noteEdge } from "./untold.ts";

/** A session that is over waits so long for an edge that is away; what is left is told later (untold.ts). */
const HANDOVER_MAX_MS = 10 * 60_000;

export interface RelayEdge {
  client: EdgeClient;
  url: string;
  token: string;
}

export interface RelaySession {
  mode: RelayMode;
  place: ChatPlace;
  sessionKey?: string | undefined;
  /** Of the agent, as people see it. */
  agent: string;
  title: string;
  workdir: string;
  commandHint: string;
  timeoutMs: number;
  silenceMs: number;
  /** It wants a thread of its own. */
  thread: boolean;
  listens: boolean;
  environment: StepEnvironment;
  /** It works in a worktree of its own, made of the repository of `workdir`. */
  worktree: boolean;
  /** Makes what the session needs on this box; called when the edge has allowed it (R1). */
  prepare(): Promise<PreparedSession>;
}

export interface PreparedSession {
  folder: string;
  log: StreamLog;
  start: StartStep;
}

export interface RelayEnd {
  runId: string;
  /** Undefined: it never began, or the edge has given it away. */
  end: AttemptEnd | undefined;
  /** The edge has all of it. */
  handedOver: boolean;
  /** Where its stream and its journal are. */
  folder: string;
  /** Why the edge has not let it be carried. */
  refused?: string;
  /** The agent's last word. */
  result?: FlowResult;
}

/** Who relays may be told to stop: first the agent, then waiting for an edge that is away, too. */
export interface RelayStops {
  /** The agent has to end, and all of it is handed over; once it has ended: as `left`. */
  stopped: AbortSignal;
  /** What the edge has not by now is told later. */
  left: AbortSignal;
}

/** @throws the errors of client/edge-errors.ts while nothing is started */
export async function relaySession(
  edge: RelayEdge,
  session: RelaySession,
  say: AgentLog,
  stops: RelayStops,
): Promise<RelayEnd> {
  const { stopped } = stops;
  const claimKey = newClaimKey();
  const { runId, attempt: number } = await edge.client.beginRelay({ ...requestOf(session), claimKey });
  const { folder, log, start } = await session.prepare();
  log.write({ type: "codeflow.session", runId, ...described(session) });
  const runnerId = `relay_${crypto.randomUUID().replaceAll("-", "").slice(0, 16)}`;
  const active: ActiveSession = {
    agent: session.agent,
    workdir: session.workdir,
    runId,
    attempt: number,
    folder,
  };
  const withdraw = await announceSession(active);
  const journal = new Journal(journalIn(folder));
  noteEdge(journal, edge.url);
  let outages = 0;
  let result: FlowResult | undefined;
  const ended = Promise.withResolvers<AttemptEnd>();
  const attempt = new Attempt(
    {
      edgeUrl: edge.url,
      linkUrl: edge.url.replace(/^http/, "ws").replace(/\/$/, ""),
      token: edge.token,
      runnerId,
      runnerName: hostname(),
      journal,
      environment: session.environment,
      executor: { kind: "direct" },
      workspaces: new Workspaces({
        workspace: session.workdir,
        runnerId,
        repositories: {},
        projects: {},
        quota: { max: WORKTREES_DEFAULT_MAX, maxGb: WORKTREES_DEFAULT_MAX_GB },
      }),
      findPackage: async () =>
        Promise.resolve({
          found: {
            root: session.workdir,
            config: undefined,
            flow: { name: RELAY_FLOW, version: 1, steps: [stepOf(session)] },
          },
        }),
      startStep: (request, events, clocks) => {
        const heard = (said: FlowResult): void => {
          result = { ...said, artifacts: { ...said.artifacts, delivery: { ...attempt.delivery, outages } } };
          events.result(result);
        };
        return start(request, { ...events, result: heard }, clocks);
      },
      ended: ended.resolve,
      log: (level, message, fields) => {
        if (message.startsWith("run socket lost")) {
          outages += 1;
          log.write({ type: "codeflow.delivery.outage", what: message });
        }
        say(level, message, fields);
      },
    },
    { runId, attempt: number, proof: claimProof(claimKey, number, runnerId) },
  );
  attempt.take();
  const stop = (): void => {
    attempt.stop("canceled", "the relay was stopped");
  };
  stopped.addEventListener("abort", stop);
  if (stopped.aborted) stop();
  try {
    const fate = await handedOver(attempt, ended.promise, {
      ...stops,
      begun: () => journal.attempts().length > 0,
    });
    if (fate?.kind === "refused") await attempt.stepEnded();
    const end = attempt.ended ? await ended.promise : undefined;
    if (end !== undefined)
      log.write({ type: "codeflow.end", reason: end.reason, exitCode: end.exit?.code ?? null });
    await noteDelivery(folder, { runId, handedOver: fate !== undefined, outages, ...attempt.delivery });
    if (fate !== undefined) await removeJournal(folder);
    return {
      runId,
      end,
      handedOver: fate?.kind === "handed_over",
      folder,
      ...(result === undefined ? {} : { result }),
      ...(fate?.kind === "refused" ? { refused: fate.message } : {}),
    };
  } finally {
    stopped.removeEventListener("abort", stop);
    await withdraw();
    journal.close();
    log.close();
  }
}

/** Undefined when the session is over, or has not begun, and the edge is not there to take it. */
async function handedOver(
  attempt: Attempt,
  ended: Promise<AttemptEnd>,
  { stopped, left, begun }: RelayStops & { begun(): boolean },
): Promise<AttemptFate | undefined> {
  const givenUp = Promise.withResolvers<undefined>();
  const giveUp = (): void => {
    givenUp.resolve(undefined);
  };
  const leave = (): void => {
    if (attempt.ended || !begun()) giveUp();
  };
  // A box that sleeps meanwhile has not waited.
  const waiting = new Countdown(HANDOVER_MAX_MS, giveUp);
  void ended.then(() => {
    waiting.start();
    if (left.aborted) giveUp();
    // A first word to stop that comes now can only mean the waiting.
    stopped.addEventListener("abort", leave);
  });
  left.addEventListener("abort", leave);
  try {
    return await Promise.race([attempt.over, givenUp.promise]);
  } finally {
    waiting.stop();
    stopped.removeEventListener("abort", leave);
    left.removeEventListener("abort", leave);
    attempt.detach();
  }
}

function described({ agent, title, workdir, mode }: RelaySession) {
  return { agent, title, workdir, mode };
}

function requestOf(session: RelaySession) {
  const { mode, place, sessionKey, agent, title, workdir, commandHint, timeoutMs, silenceMs } = session;
  return {
    id: crypto.randomUUID(),
    place,
    ...(sessionKey === undefined ? {} : { sessionKey }),
    mode,
    agent,
    title,
    workdir,
    commandHint,
    by: `${userInfo().username}@${hostname()}`.slice(0, 128),
    timeoutMs,
    silenceMs,
    thread: session.thread,
    listens: session.listens,
  };
}

/** The other half of what the edge makes of the request (worker/relay/session-step.ts). */
function stepOf({ timeoutMs, silenceMs, listens, worktree }: RelaySession): StartableStep {
  return {
    name: RELAY_STEP,
    runner: "relay",
    script: "",
    pool: RELAY_FLOW,
    labels: [],
    priority: 0,
    timeoutMs,
    silenceMs,
    queueMs: timeoutMs,
    retry: { attempts: 1, on: [], backoffMs: 0 },
    listens,
    ...(worktree ? { worktree: { ref: "HEAD" } } : {}),
  };
}

/** What `codex-flow relay` exits with, beside the agent's own code. */
export const RELAY_EXIT = {
  /** The timeout, or the silence clock. */
  timeout: 124,
  /** Nothing was started: the guard, the edge, the command. */
  refused: 125,
  /** Somebody has stopped it, here or in the chat; or the edge has given it up. */
  stopped: 130,
} as const;
const SIGNALLED = 128;

function signalNumber(name: string): number {
  return Object.entries(constants.signals).find(([known]) => known === name)?.[1] ?? 1;
}

export function exitCodeOf({ end, result }: RelayEnd): number {
  if (end === undefined) return RELAY_EXIT.refused;
  switch (end.reason) {
    case "refused":
      return RELAY_EXIT.refused;
    case "timeout":
    case "silence":
      return RELAY_EXIT.timeout;
    case "canceled":
    case "abandoned":
      return RELAY_EXIT.stopped;
    case "reaped":
      return result?.status === "failed" || end.error !== undefined ? 1 : 0;
    case "exited":
      return end.exit?.code ?? SIGNALLED + signalNumber(end.exit?.signal ?? "");
  }
}
