/** `codex-flow fire`: an event for the flow packages of a workspace, run here and now, without an edge. */
import type { Command } from "commander";
import { EXIT, exitCodeOfRuns } from "./exit-codes.ts";
import type { Act, Invocation } from "./invocation.ts";
import { examples } from "./option-values.ts";
import { existingFolder } from "./workspace-folder.ts";

interface FireOptions {
  event: string;
  workspace: string;
  state?: string | true;
}

export function registerFire(program: Command, act: Act): void {
  const fire = program
    .command("fire")
    .description("Run the steps that an event matches in this workspace, here and now, without an edge")
    .requiredOption("--event <file>", "the event as JSON; - for standard input")
    .option("--workspace <dir>", "folder that holds .codex/flows and flows", ".")
    .option(
      "--state [dir]",
      "keep events and runs (in .codex/flow-client): the same id again then starts nothing",
    );
  examples(fire, [
    ["codex-flow fire --event event.json", "what would run at a box, run here; --json for the results alone"],
    [
      `echo '{"type":"demo.hello","payload":{"name":"Ada"}}' | codex-flow fire --event -`,
      "from standard input",
    ],
    ["codex-flow fire --event event.json --state", "once for each event id, also over several calls"],
  ]);
  act(fire, fireEvent);
}

async function fireEvent(invocation: Invocation, options: FireOptions): Promise<number> {
  const workspace = await existingFolder(options.workspace);
  const { readEvent } = await import("./event-input.ts");
  const event = await readEvent(options.event, {});
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
  // Nothing started, and what should have may be what is broken.
  return runs.length === 0 && faults.length > 0 ? EXIT.bad : exitCodeOfRuns(runs);
}
