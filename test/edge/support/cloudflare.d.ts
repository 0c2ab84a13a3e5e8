/** What `cloudflare:workers` offers to a test: the bindings and the entry of the Worker under test. */
import type { Env as WorkerEnv } from "../../../worker/env.ts";

declare global {
  namespace Cloudflare {
    interface Env extends WorkerEnv {
      readonly testOnly?: never;
    }
    interface GlobalProps {
      mainModule: typeof import("../../../worker/index.ts");
    }
  }
}
