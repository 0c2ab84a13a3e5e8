/**
 * `codex-flow-edge/client`: what a product imports. It says which flows' events it has and asks what became of them,
 * and need not know what runs them. Imports nothing of Node: Node, Bun, browsers and Workers alike.
 */
import { createFlowBackendHttpClient, type FlowBackendHttpClientOptions } from "./backend-client.ts";
import type { FlowClient } from "./flow-types.ts";

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

/** `mode: "http"`: the flows of an edge, or of any backend with its interface. */
export type FlowClientOptions = { mode: "http" } & FlowBackendHttpClientOptions;

/** A client for a product's flows. Throws EdgeUrlError at once for a url that cannot be used. */
export function createFlowClient(options: FlowClientOptions): FlowClient {
  return createFlowBackendHttpClient(options);
}
