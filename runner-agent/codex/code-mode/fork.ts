/**
 * Whether a Codex runs saved scripts by itself: forks have the method `thread/codeMode/execute`, stock Codex refuses it
 * as an unknown variant before it looks at anything else. Found out once an app-server, with parameters that start nothing.
 */
import type { AppServer } from "../app-server.ts";
import { RequestFailedError } from "../errors.ts";

const known = new WeakMap<AppServer, Promise<boolean>>();

/** @throws CodexError when it cannot be found out */
export async function executesScripts(server: AppServer): Promise<boolean> {
  const asked = known.get(server) ?? ask(server);
  known.set(server, asked);
  // Not found out: the next step asks again.
  asked.catch(() => known.delete(server));
  return await asked;
}

async function ask(server: AppServer): Promise<boolean> {
  try {
    await server.request("thread/codeMode/execute", { threadId: "", source: "" });
    return true;
  } catch (error) {
    if (error instanceof RequestFailedError) return !error.message.includes("unknown variant");
    throw error;
  }
}
