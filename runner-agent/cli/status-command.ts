/** `codex-flow status`: one screen. */
import type { Command } from "commander";
import type { EdgeClient, RunSummary } from "../../client/http.ts";
import { LIST_MAX_ITEMS } from "../../contract/limits.ts";
import { missingToken } from "./configuration.ts";
import { EXIT } from "./exit-codes.ts";
import type { Act, Invocation } from "./invocation.ts";
import { examples } from "./option-values.ts";
import type { StatusView } from "./render/status.ts";

/** How many runs and events the screen has room for. */
const SHOWN_ITEMS = 5;

export function registerStatus(program: Command, act: Act): void {
  const status = program
    .command("status")
    .description("Show the edge, the runners, waiting runs and runs that need attention");
  examples(status, [
    ["codex-flow status", "the edge of the environment or the profile"],
    ["codex-flow status --profile production", "the edge of a profile"],
  ]);
  act(status, showStatus);
}

async function showStatus(invocation: Invocation): Promise<number> {
  const { output } = invocation;
  const { client, connection } = await invocation.connect("none");
  const startedAt = performance.now();
  await client.health();
  const latencyMs = performance.now() - startedAt;
  const { renderReachable, renderStatus } = await import("./render/status.ts");
  // Said before the token is tried: with a wrong one, it is still worth knowing that the edge is there.
  if (!output.json) output.out.write(`${renderReachable(output.style(), connection, latencyMs)}\n`);
  if (connection.token === undefined) throw missingToken(connection, false);
  const view = await readStatus(client);
  const document = { url: client.url, latencyMs: Math.round(latencyMs), ...view };
  await output.show(document, (style) => renderStatus(style, view));
  return EXIT.ok;
}

async function readStatus(client: EdgeClient): Promise<StatusView> {
  const [runners, chats, events, { runs }] = await Promise.all([
    client.listRunners(),
    client.listChatOutboxes(),
    client.listEvents({ limit: SHOWN_ITEMS }),
    client.listRuns({ attention: true, limit: LIST_MAX_ITEMS }),
  ]);
  // Open approvals come first: they expire within minutes.
  const isAsking = (run: RunSummary): boolean => run.pendingApprovals !== undefined;
  const attention = [...runs.filter(isAsking), ...runs.filter((run) => !isAsking(run))];
  return {
    ...runners,
    attention: attention.slice(0, SHOWN_ITEMS),
    ...(attention.length > SHOWN_ITEMS ? { moreAttention: true } : {}),
    chats,
    events: events.events,
  };
}
