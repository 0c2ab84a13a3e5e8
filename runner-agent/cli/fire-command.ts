/** `codex-flow fire`: an event for the flow packages of a workspace, run here and now, without an edge. */
import type { Command } from "commander";
import type { EventFlags } from "./event-input.ts";
import { EXIT, exitCodeOfRuns } from "./exit-codes.ts";
import type { Act, Invocation } from "./invocation.ts";
import { examples } from "./option-values.ts";
import { UsageError } from "./problem.ts";
import { existingFolder } from "./workspace-folder.ts";

interface FireOptions extends EventFlags {
  event?: string;
  workspace: string;
  state?: string | true;
}

export function registerFire(program: Command, act: Act): void {
  const fire = program
    .command("fire")
    .description("Run the matching steps of an event on this machine, without an edge")
    .argument("[file]", "the event as JSON; - for standard input")
    .option("--event <file>", "the same, as codex-flows names it")
    .option("--type <type>", "type of the event")
    .option("--id <id>", "id of the event: the same id is the same event")
    .option("--source <source>", "source of the event")
    .option("--payload <json>", "payload of the event")
    .option("--workspace <dir>", "folder that holds .codex/flows and flows", ".")
    .option(
      "--state [dir]",
      "keep events and runs (in .codex/flow-client): the same id again then starts nothing",
    );
  examples(fire, [
    ["codex-flow fire event.json", "run here what would run on a runner; --json for the results alone"],
    [`codex-flow fire --type demo.hello --payload '{"name":"Ada"}'`, "an event from flags"],
    [`echo '{"type":"demo.hello","payload":{"name":"Ada"}}' | codex-flow fire -`, "from standard input"],
    ["codex-flow fire event.json --state", "once for each event id, also over several calls"],
  ]);
  act(fire, fireEvent);
}

async function fireEvent(invocation: Invocation, options: FireOptions, file?: string): Promise<number> {
  if (file !== undefined && options.event !== undefined)
    throw new UsageError("the event is given twice", "name the file once, or pass --event");
  const workspace = await existingFolder(options.workspace);
  const { readEvent } = await import("./event-input.ts");
  const event = await readEvent(file ?? options.event, options);
  const { localResult, runLocally } = await import("./local-session.ts");
  const { state } = options;
  const { answer, runs } = await runLocally(
    invocation,
    {
      workspace,
      state: state === undefined ? undefined : { kind: "file", path: state === true ? undefined : state },
    },
    (flows) => flows.dispatch(event),
  );
  const { eventId, status, misses, faults } = answer;
  const { renderLocalRun, renderNothingFired } = await import("./render/local.ts");
  if (status === "duplicate")
    invocation.output.note(({ colors }) =>
      colors.yellow("duplicate: this event ran before; these are its runs"),
    );
  const document = {
    eventId,
    results: runs.map(localResult),
    ...(status === "duplicate" ? { status } : {}),
    ...(misses.length === 0
      ? {}
      : { misses: misses.map(({ flow, step, errors }) => ({ flow: flow.name, step: step.name, errors })) }),
    ...(faults.length === 0 ? {} : { faults }),
  };
  await invocation.output.show(document, (style) =>
    runs.length === 0
      ? renderNothingFired(style, event, misses)
      : runs.map((run) => renderLocalRun(style, run)).join("\n"),
  );
  if (answer.conflict) return EXIT.conflict;
  // An event that starts nothing is a bad answer, as it is for `dispatch --wait`.
  return runs.length === 0 ? EXIT.bad : exitCodeOfRuns(runs);
}
