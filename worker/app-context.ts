/** What every route of the front door is given. */
import type { Env } from "./env.ts";

export interface AppContext {
  Bindings: Env;
  Variables: { requestId: string };
}
