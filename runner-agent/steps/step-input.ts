/** What a step is told: the context on its standard input and the variables of its attempt. Both as the ancestor. */
import { resolve } from "node:path";
import { attemptId } from "../../contract/ids.ts";
import { ATTEMPT_VARIABLE, RUN_VARIABLE } from "./process-tree.ts";
import type { StepRequest } from "./step.ts";

export const LAUNCHED_BY = "codex-flow-edge";
const BACKEND_VARIABLE = "CODEX_WORKSPACE_BACKEND_WS_URL";

/**
 * Where the step runs: where its project or workdir leads, if it has one. Else its `cwd` says, relative to its worktree,
 * or to the flow package when it has none.
 */
export function workingDirectory({ directory, worktree, flow, step }: StepRequest): string {
  return directory ?? resolve(worktree?.root ?? flow.root, step.cwd ?? ".");
}

/**
 * Where codex-flows' steps look for the workspace backend: what the machine passes, else the edge's address as a WebSocket
 * URL. Undefined when there is no edge.
 */
function workspaceBackendUrl({ env, edgeUrl }: StepRequest): string | undefined {
  const passed = env.variables[BACKEND_VARIABLE];
  if (passed !== undefined && passed !== "") return passed;
  return edgeUrl === "" ? undefined : edgeUrl.replace(/^http/i, "ws");
}

/** JSON and a newline. */
export function stepContext(request: StepRequest): string {
  const { flow, step, event } = request;
  const backendUrl = workspaceBackendUrl(request);
  const context = {
    flow: {
      name: flow.name,
      version: flow.version,
      root: flow.root,
      step: step.name,
      config: flow.config,
      event,
    },
    runtime: {
      eventId: event.id,
      runId: request.runId,
      attemptId: attemptId(request.runId, request.attempt),
      replay: request.replay,
      ...(backendUrl === undefined ? {} : { workspaceBackendUrl: backendUrl }),
      launchedBy: LAUNCHED_BY,
    },
  };
  return `${JSON.stringify(context, null, 2)}\n`;
}

/** The whole environment of the step. The attempt's own variables win: they also mark its processes. */
export function stepVariables(request: StepRequest): Record<string, string> {
  const backendUrl = workspaceBackendUrl(request);
  return {
    ...request.env.variables,
    ...(backendUrl === undefined ? {} : { [BACKEND_VARIABLE]: backendUrl }),
    // The one character that no variable can hold; the context has the id as it is.
    CODEX_FLOW_EVENT_ID: request.event.id.replaceAll("\0", "\uFFFD"),
    [RUN_VARIABLE]: request.runId,
    [ATTEMPT_VARIABLE]: attemptId(request.runId, request.attempt),
    CODEX_FLOW_REPLAY: request.replay ? "1" : "0",
    CODEX_FLOW_LAUNCHED_BY: LAUNCHED_BY,
    CODEX_FLOW_URL: request.edgeUrl,
    ...(request.worktree === undefined
      ? {}
      : { CODEX_FLOW_WORKTREE: request.worktree.root, CODEX_FLOW_WORKTREE_BASE: request.worktree.base }),
  };
}
