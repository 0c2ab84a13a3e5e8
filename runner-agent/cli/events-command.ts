/** `codex-flow events`: list, show, replay. */
import type { Command } from "commander";
import { LIST_DEFAULT_ITEMS, LIST_MAX_ITEMS } from "../../contract/limits.ts";
import { EXIT } from "./exit-codes.ts";
import type { Act, Invocation } from "./invocation.ts";
import { examples, sinceDate, waitOption, wholeNumber } from "./option-values.ts";
import { withEvent } from "./short-ids.ts";

interface EventListOptions {
  type?: string;
  source?: string;
  since?: string;
  limit?: number;
  cursor?: string;
}

interface ReplayOptions {
  flow?: string;
  step?: string;
  wait?: string | true;
}

export function registerEvents(program: Command, act: Act): void {
  const events = program.command("events").description("Events that were sent: list, show, replay");

  const list = events
    .command("list", { isDefault: true })
    .description("List events, newest first")
    .option("--type <type>", "only this type")
    .option("--source <source>", "only from this source")
    .option("--since <when>", "only events received since then: 30m, 24h, 7d or a date", sinceDate)
    .option("--limit <n>", `how many (${LIST_DEFAULT_ITEMS} when absent)`, wholeNumber(1, LIST_MAX_ITEMS))
    .option("--cursor <cursor>", "continue after the previous page");
  examples(list, [
    ["codex-flow events list --type upstream.release", "one type"],
    ["codex-flow events list --limit 500 --json", "for a script"],
  ]);
  act(list, listEvents);

  const show = events
    .command("show")
    .description("Show one event, its payload and its runs")
    .argument("<id>", "id of the event");
  examples(show, [["codex-flow events show upstream:release:1.2.0", "by the id that its sender gave it"]]);
  act(show, async (invocation, _options, id: string) => {
    const { client } = await invocation.connect();
    const detail = await withEvent(client, id, (whole) => client.getEvent(whole));
    const { renderEvent } = await import("./render/event.ts");
    await invocation.output.show(detail, (style) => renderEvent(style, detail));
    return EXIT.ok;
  });

  const replay = events
    .command("replay")
    .description("Start new runs of a stored event, with the flows that are deployed now")
    .argument("<id>", "id of the event")
    .option("--flow <name>", "only this flow")
    .option("--step <name>", "only this step")
    .option("--wait [seconds]", "wait for the runs (maximum wait), show them, and exit by their result");
  examples(replay, [
    ["codex-flow events replay upstream:release:1.2.0", "every step that matches"],
    ["codex-flow events replay upstream:release:1.2.0 --flow release-notes --wait", "one flow, to its end"],
  ]);
  act(replay, replayEvent);
}

async function listEvents(invocation: Invocation, options: EventListOptions): Promise<number> {
  const { client } = await invocation.connect();
  const { cursor, ...filter } = options;
  const page = await client.listEvents({ ...filter, cursor });
  const [{ renderEventList }, { commandLine }] = await Promise.all([
    import("./render/event.ts"),
    import("./render/text.ts"),
  ]);
  const more = commandLine("codex-flow events list", { ...filter });
  await invocation.output.show(page, (style) => renderEventList(style, page, more));
  return EXIT.ok;
}

async function replayEvent(invocation: Invocation, options: ReplayOptions, id: string): Promise<number> {
  const wait = waitOption(options.wait);
  const { client } = await invocation.connect();
  const { flow, step } = options;
  const answer = await withEvent(client, id, (whole) => client.replay(whole, { flow, step }));
  const { followAnswer, withReasons } = await import("./dispatch-answer.ts");
  return followAnswer(invocation.output, answer, wait, async () => {
    const { runs } = await client.getEvent(answer.eventId);
    return withReasons(
      client,
      runs.filter((run) => answer.runIds.includes(run.id)),
    );
  });
}
