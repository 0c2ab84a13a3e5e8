/** Imported first: wrangler reads its settings when it is loaded, and talks about every batch of a queue. */
import { QUIET_ENVIRONMENT } from "../runner-agent/dev/quiet-environment.ts";

Object.assign(process.env, QUIET_ENVIRONMENT);
for (const method of ["log", "info", "debug"] as const) console[method] = () => undefined;
