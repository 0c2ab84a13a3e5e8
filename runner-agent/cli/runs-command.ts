/** `codex-flow runs`: list, show, logs, cancel; say and budget stand in runs-steering.ts. */
import { userInfo } from "node:os";
import type { Command } from "commander";
import type { EdgeClient, RunPage, RunView } from "../../client/http.ts";
import { LIST_DEFAULT_ITEMS, LIST_MAX_ITEMS } from "../../contract/limits.ts";
import { EXIT } from "./exit-codes.ts";
import type { Act, Invocation } from "./invocation.ts";
import { byOption, examples, sinceDate, whoSays, wholeNumber } from "./option-values.ts";
import { registerSteering } from "./runs-steering.ts";
import { LAST_RUN, resolveRun, RUN_ARGUMENT } from "./short-ids.ts";

interface RunListOptions {
  event?: string;
  status?: string;
  flow?: string;
  attention?: boolean;
  pool?: string;
  runner?: string;
  since?: string;
  limit?: number;
  cursor?: string;
}

export function registerRuns(program: Command, act: Act): void {
  const runs = program
    .command("runs")
    .description("Runs of steps: list, show, logs, cancel, ack, say, budget");

  const list = runs
    .command("list", { isDefault: true })
    .description("List runs, newest first")
    .option("--event <id>", "only of this event")
    .option("--status <status>", "only with this status: queued, running, completed, blocked, failed …")
    .option("--flow <name>", "only of this flow")
    .option(
      "--attention",
      "only runs that wait for a person: open approvals, or a bad end that nobody dealt with",
    )
    .option("--pool <name>", "only of this pool")
    .option("--runner <name>", "only runs whose newest attempt is on this runner (name or id)")
    .option("--since <when>", "only runs created since then: 30m, 24h, 7d or a date", sinceDate)
    .option("--limit <n>", `how many (${LIST_DEFAULT_ITEMS} when absent)`, wholeNumber(1, LIST_MAX_ITEMS))
    .option("--cursor <cursor>", "continue after the previous page");
  examples(list, [
    ["codex-flow runs list --status failed", "failed runs"],
    ["codex-flow runs list --attention --since 24h", "what needs attention, of the last day"],
    ["codex-flow runs list --flow release-notes --json", "for a script"],
  ]);
  act(list, listRuns);

  const show = runs
    .command("show")
    .description("Show everything about one run; without an id, about the newest one")
    .argument("[id]", RUN_ARGUMENT);
  examples(show, [
    ["codex-flow runs show run_0123456789abcdef_1", "attempts, result, why it waits, next steps"],
    ["codex-flow runs show", "the newest run"],
  ]);
  act(show, async (invocation, _options, typed: string = LAST_RUN) => {
    const { client } = await invocation.connect();
    const run = await client.getRun(await resolveRun(client, typed));
    const [continuedBy, { renderRun }] = await Promise.all([
      continuationOf(client, run),
      import("./render/run.ts"),
    ]);
    const document = { run, ...(continuedBy === undefined ? {} : { continuedBy }) };
    await invocation.output.show(document, (style) => renderRun(style, run, continuedBy));
    return EXIT.ok;
  });

  const logs = runs
    .command("logs")
    .description(
      "What a run printed, on the same streams here; of a Codex step what it says and does, and what it asks leave for",
    )
    .argument("<id>", RUN_ARGUMENT)
    .option("-f, --follow", "follow until the run is over; the exit code shows how it ended");
  examples(logs, [
    ["codex-flow runs logs run_0123456789abcdef_1 > out.txt", "standard output alone"],
    ["codex-flow runs logs -f run_0123456789abcdef_1", "live"],
    ["codex-flow runs logs -f run_0123456789abcdef_1 --json", "live, one JSON line a frame"],
  ]);
  act(logs, async (invocation, options: { follow?: boolean }, id: string) => {
    const { followLogs, printLogs } = await import("./run-logs.ts");
    return options.follow === true ? followLogs(invocation, id) : printLogs(invocation, id);
  });

  const cancel = runs
    .command("cancel")
    .description("Stop a run; it is canceled once its processes are gone")
    .argument("<id>", RUN_ARGUMENT);
  examples(cancel, [
    [
      "codex-flow runs cancel run_0123456789abcdef_1",
      "waiting runs immediately; running ones once their processes are gone",
    ],
  ]);
  act(cancel, cancelRun);
  const ack = byOption(
    runs
      .command("ack")
      .description("Acknowledge how runs ended: they no longer need attention")
      .argument("<ids...>", "ids of runs, or their short forms"),
  );
  examples(ack, [
    ["codex-flow runs ack run_0123456789abcdef_1", "its problem is solved"],
    ["codex-flow runs ack run_0123456789abcdef_1 run_0123456789abcdef_2", "several at once"],
  ]);
  act<{ by?: string }>(ack, acknowledgeRuns);
  registerSteering(runs, act);
}

async function listRuns(invocation: Invocation, options: RunListOptions): Promise<number> {
  const { client } = await invocation.connect();
  const { event, cursor, ...filter } = options;
  const page = await withWaitingReasons(client, await client.listRuns({ eventId: event, cursor, ...filter }));
  const [{ renderRunList }, { commandLine }] = await Promise.all([
    import("./render/run.ts"),
    import("./render/text.ts"),
  ]);
  const more = commandLine("codex-flow runs list", { event, ...filter });
  await invocation.output.show(page, (style) => renderRunList(style, page, more));
  return EXIT.ok;
}

/** Lists know no reasons, pools do: one more request when something on the page waits. */
async function withWaitingReasons(client: EdgeClient, page: RunPage): Promise<RunPage> {
  if (page.runs.every((run) => run.status !== "queued" || run.waiting !== undefined)) return page;
  const { waiting } = await client.listRunners();
  const reasons = new Map(waiting.map(({ runId, reason }) => [runId, reason]));
  const runs = page.runs.map((run) => {
    const reason = run.status === "queued" ? reasons.get(run.id) : undefined;
    return reason === undefined ? run : { ...run, waiting: reason };
  });
  return { ...page, runs };
}

/** The run that goes on in this one's thread. Only one that its budget has ended can have one. */
async function continuationOf(client: EdgeClient, run: RunView): Promise<string | undefined> {
  if (run.resultStatus !== "needs_intervention" || run.result?.artifacts?.["budget"] === undefined)
    return undefined;
  const { runs } = await client.getEvent(run.eventId);
  return runs.find((other) => other.continues === run.id)?.id;
}

/** Each by itself: what cannot be acknowledged does not keep the others back. */
async function acknowledgeRuns(
  invocation: Invocation,
  options: { by?: string },
  ...typed: string[]
): Promise<number> {
  const { client } = await invocation.connect();
  const by = whoSays(options);
  const runs: RunView[] = [];
  let failure: Error | undefined;
  for (const each of typed)
    try {
      runs.push(await client.acknowledge(await resolveRun(client, each), { by }));
    } catch (error) {
      failure ??= error instanceof Error ? error : new Error(String(error));
    }
  const { renderAcknowledged } = await import("./render/run.ts");
  if (runs.length > 0) await invocation.output.show({ runs }, (style) => renderAcknowledged(style, runs));
  if (failure !== undefined) throw failure;
  return EXIT.ok;
}

async function cancelRun(invocation: Invocation, _options: object, typed: string): Promise<number> {
  const { client } = await invocation.connect();
  const run = await client.cancel(await resolveRun(client, typed), {
    by: `${userInfo().username} (codex-flow)`,
  });
  const { renderCancel } = await import("./render/run.ts");
  await invocation.output.show({ run }, (style) => renderCancel(style, run));
  return EXIT.ok;
}
