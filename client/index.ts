/**
 * `codex-flow-edge/client`: what a product imports. It says which flows' events it has and asks what became of them,
 * and need not know what runs them. Imports nothing of Node, so that browsers and Workers can have it whole.
 */
import { createFlowBackendHttpClient, type FlowBackendHttpClientOptions } from "./backend-client.ts";
import type { FlowClient, FlowLocalClientOptions } from "./flow-types.ts";

export {
  createFlowBackendHttpClient,
  FlowBackendError,
  type FlowBackendClient,
  type FlowBackendFetch,
  type FlowBackendHttpClientOptions,
  type FlowBackendHttpHeaders,
} from "./backend-client.ts";
export { EdgeAnswerError, EdgeTimeoutError, EdgeUnreachableError, EdgeUrlError } from "./edge-errors.ts";
export type * from "./flow-types.ts";

/**
 * `mode: "http"`: the flows of an edge, or of any backend with its interface. `mode: "local"`: the flow packages of a
 * folder, run by this process; needs Node 22.18 or newer, or Bun.
 */
export type FlowClientOptions =
  ({ mode: "http" } & FlowBackendHttpClientOptions) | ({ mode: "local" } & FlowLocalClientOptions);

/** Local mode was asked for where no process can be started: in a browser, a Worker, or an old Node. */
export class FlowModeError extends Error {
  override readonly name = "FlowModeError";
  readonly code = "local_mode_unavailable";

  constructor(where: string) {
    super(
      `createFlowClient({ mode: "local" }) needs Node 22.18 or newer, or Bun; ${where}: use mode "http" here`,
    );
  }
}

/** An option of local mode that this client does not have. It refuses it, so that nobody relies on it. */
export class FlowOptionError extends Error {
  override readonly name = "FlowOptionError";
  readonly code = "unknown_option";

  constructor(option: string, known: readonly string[]) {
    super(`createFlowClient({ mode: "local" }) has no option ${option}: use ${known.join(", ")}`);
  }
}

/**
 * A client for a product's flows. Throws EdgeUrlError at once for a url that cannot be used, FlowModeError for local
 * mode where there is none. This is the one of browsers and Workers; under Node and Bun the package gives the one of
 * runner-agent/local/client-entry.ts, which has both modes.
 */
export function createFlowClient(options: FlowClientOptions): FlowClient {
  if (options.mode === "local")
    throw new FlowModeError("this is a browser, a Worker, or a bundle made for one");
  return createFlowBackendHttpClient(options);
}
