/**
 * `codex-flow-edge/client` under Node and Bun: all of client/index.ts, and local mode. What runs steps is loaded at
 * the first call of a local client, so that http mode costs here what it costs in a browser.
 */
import {
  createFlowClient as createHttpModeClient,
  FlowModeError,
  FlowOptionError,
  type FlowClientOptions,
} from "../../client/index.ts";
import type { FlowClient, FlowLocalClientOptions } from "../../client/flow-types.ts";

export * from "../../client/index.ts";

/** As in client/index.ts. */
export function createFlowClient(options: FlowClientOptions): FlowClient {
  if (options.mode !== "local") return createHttpModeClient(options);
  if (!isAble()) throw new FlowModeError(`this is Node ${process.versions.node}`);
  checkOptions(options);
  return lazily(options);
}

const LOCAL_OPTIONS = ["mode", "cwd", "roots", "state", "env", "edgeUrl", "onProgress"];
const STATE_OPTIONS = new Map<string, readonly string[]>([
  ["memory", ["kind"]],
  ["file", ["kind", "path", "dataDir"]],
]);

/** Callers in JavaScript can pass anything. @throws FlowOptionError */
function checkOptions(options: FlowLocalClientOptions): void {
  refuseUnknown("", options, LOCAL_OPTIONS);
  const state: unknown = options.state;
  if (state === undefined || state === "memory") return;
  const kind = typeof state === "object" && state !== null && "kind" in state ? String(state.kind) : "";
  const known = STATE_OPTIONS.get(kind);
  if (known === undefined || typeof state !== "object" || state === null)
    throw new FlowOptionError(`state: ${JSON.stringify(state)}`, [
      'state: "memory"',
      'state: { kind: "file", path }',
    ]);
  refuseUnknown("state.", state, known);
}

function refuseUnknown(prefix: string, options: object, known: readonly string[]): void {
  for (const [name, value] of Object.entries(options))
    if (value !== undefined && !known.includes(name)) throw new FlowOptionError(`${prefix}${name}`, known);
}

const NODE_NEEDED = [22, 18] as const;

function isAble(): boolean {
  if (process.versions["bun"] !== undefined) return true;
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  return major > NODE_NEEDED[0] || (major === NODE_NEEDED[0] && minor >= NODE_NEEDED[1]);
}

function lazily(options: FlowLocalClientOptions): FlowClient {
  // The folder is that of the call, wherever the process goes meanwhile.
  const fixed = { ...options, cwd: options.cwd ?? process.cwd() };
  let loading: Promise<FlowClient> | undefined;
  const client = (): Promise<FlowClient> =>
    (loading ??= import("./local-client.ts").then(({ createLocalClient }) => createLocalClient(fixed)));
  return {
    listRuns: async (filter) => (await client()).listRuns(filter),
    getRun: async (runId) => (await client()).getRun(runId),
    listEvents: async (filter) => (await client()).listEvents(filter),
    getEvent: async (eventId) => (await client()).getEvent(eventId),
    dispatchEvent: async (event, wait) => (await client()).dispatchEvent(event, wait),
    replayEvent: async (eventId, wait) => (await client()).replayEvent(eventId, wait),
    cancelRun: async (runId) => (await client()).cancelRun(runId),
  };
}
