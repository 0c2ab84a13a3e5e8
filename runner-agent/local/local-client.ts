/** Local mode as the client that products know: the calls and views of http mode, over flows that run here. */
import { join, resolve } from "node:path";
import type {
  FlowClient,
  FlowDispatchResult,
  FlowLocalClientOptions,
  FlowProgress,
  FlowWaitOptions,
} from "../../client/flow-types.ts";
import {
  normalizeCancelResult,
  normalizeDispatchResult,
  normalizeEvent,
  normalizeEventList,
  normalizeRun,
  normalizeRunList,
} from "../../client/view-model.ts";
import { BadRequestError } from "../../contract/errors.ts";
import { iso, type RunView } from "../../contract/run-view.ts";
import { FileStore } from "./file-store.ts";
import { LocalFlows, type LocalAnswer } from "./local-flows.ts";
import type { RunWatcher } from "./local-run.ts";
import { MemoryStore } from "./memory-store.ts";
import type { LocalRun, LocalStore } from "./store.ts";
import { checkStatus, localEventView, localRunView, outputView, pageOf } from "./views.ts";

const SECOND_MS = 1000;
/** Where file state stands when nothing else is said, below the workspace. */
const STATE_FOLDER = join(".codex", "flow-client");

/**
 * Calls throw the errors of contract/errors.ts: `code`, `status` and `details` are those that an edge answers
 * ("event_not_found", "invalid"), beside those of state-error.ts.
 */
export function createLocalClient(options: FlowLocalClientOptions): FlowClient {
  const { roots, env = process.env, onProgress } = options;
  const cwd = resolve(options.cwd ?? ".");
  const flows = new LocalFlows({
    cwd,
    roots,
    store: openStore(options.state, cwd),
    environment: env,
    edgeUrl: options.edgeUrl ?? env["CODEX_FLOW_URL"] ?? "",
    watcher: watcherOf(onProgress),
  });

  async function answerOf(answer: LocalAnswer, wait: FlowWaitOptions["wait"]): Promise<FlowDispatchResult> {
    const deadline = deadlineOf(wait);
    await flows.over(answer.runIds, deadline);
    // Also what the runs have asked for, and what went wrong where nobody else would hear of it.
    if (deadline === Infinity) await answer.work;
    const { event, runs } = await flows.event(answer.eventId);
    const views = runs
      .filter(({ run }) => answer.runIds.includes(run.id))
      .map(({ run }) => localRunView(run));
    return normalizeDispatchResult({
      status: answer.status,
      eventId: answer.eventId,
      runIds: answer.runIds,
      matched: answer.matched,
      idempotent: answer.status === "duplicate",
      ...(answer.conflict ? { conflict: true } : {}),
      event: localEventView(event),
      runs: views,
      ...(answer.faults.length === 0 ? {} : { faults: answer.faults }),
    });
  }

  return {
    async dispatchEvent(event, { wait } = {}) {
      return answerOf(await flows.dispatch(event), wait);
    },
    async replayEvent(eventId, { wait } = {}) {
      return answerOf(await flows.replay(eventId), wait);
    },
    async listEvents({ type, limit, cursor } = {}) {
      const listed = (await flows.list())
        .filter(({ event }) => type === undefined || event.event.type === type)
        .map(({ event }) => ({ id: event.key, createdAt: event.createdAt, view: localEventView(event) }));
      const { items, ...page } = pageOf(listed, { limit, cursor });
      return normalizeEventList({ ...page, events: items.map(({ view }) => view) });
    },
    async getEvent(eventId) {
      const { event, runs } = await flows.event(eventId);
      return normalizeEvent({ event: localEventView(event), runs: viewsOf(runs).reverse() });
    },
    async listRuns({ eventId, status, limit, cursor } = {}) {
      checkStatus(status);
      const listed = (await flows.list())
        .filter(({ event }) => eventId === undefined || event.event.id === eventId)
        .flatMap(({ runs }) => runs.map(({ run }) => ({ ...run, view: localRunView(run) })))
        .filter(
          ({ view }) => status === undefined || view.status === status || view.effectiveStatus === status,
        );
      const { items, ...page } = pageOf(listed, { limit, cursor });
      return normalizeRunList({ ...page, runs: items.map(({ view }) => view), eventId });
    },
    async getRun(runId) {
      const { run, output } = await flows.run(runId);
      return normalizeRun({ run: localRunView(run, output) });
    },
    async cancelRun(runId) {
      return normalizeCancelResult({ run: localRunView(await flows.cancel(runId, "local client")) });
    },
  };
}

export function openStore(state: FlowLocalClientOptions["state"], cwd: string): LocalStore {
  return typeof state === "object" && state.kind === "file"
    ? new FileStore(resolve(cwd, state.path ?? state.dataDir ?? STATE_FOLDER))
    : new MemoryStore();
}

function watcherOf(heard: ((progress: FlowProgress) => void) | undefined): RunWatcher {
  return {
    changed: (run) => heard?.({ kind: "run", run: normalizeRun(localRunView(run)) }),
    output: (run, output) => {
      if (heard === undefined) return;
      const { kind, at } = output;
      const { text } = outputView(output, 0);
      heard({ kind: "output", runId: run.id, output: { kind, text, createdAt: iso(at), raw: output } });
    },
  };
}

/** Epoch ms. */
function deadlineOf(wait: FlowWaitOptions["wait"]): number {
  if (wait === undefined || wait === true) return Infinity;
  if (wait === false) return 0;
  if (!Number.isFinite(wait) || wait < 0)
    throw new BadRequestError("invalid_wait", "wait must be true, false or a number of seconds");
  return Date.now() + wait * SECOND_MS;
}

function viewsOf(runs: LocalRun[]): RunView[] {
  return runs.map(({ run }) => localRunView(run));
}
