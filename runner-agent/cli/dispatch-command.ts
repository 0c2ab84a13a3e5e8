/** `codex-flow dispatch`: sends an event. */
import type { Command } from "commander";
import type { DispatchAnswer, EdgeClient } from "../../client/http.ts";
import type { FlowEventInput } from "../../contract/flow-event.ts";
import type { EventFlags } from "./event-input.ts";
import { EXIT } from "./exit-codes.ts";
import type { Act, Invocation } from "./invocation.ts";
import { examples, isSeconds, waitOption } from "./option-values.ts";

interface DispatchOptions extends EventFlags {
  wait?: string | true;
  dryRun?: boolean;
  mustMatch?: boolean;
}

export function registerDispatch(program: Command, act: Act): void {
  const dispatch = program
    .command("dispatch")
    .description(
      "Send an event; without an id, the id is made from the content, so the same content is the same event",
    )
    .argument("[file]", "the event as JSON; - for standard input")
    .option("--type <type>", "type of the event")
    .option("--id <id>", "id of the event: the same id is the same event")
    .option("--source <source>", "source of the event")
    .option("--payload <json>", "payload of the event")
    .option("--wait [seconds]", "wait for the runs (maximum wait), show them, and exit by their result")
    .option("--must-match", "refuse and do not store an event that starts nothing (exit code 1)")
    .option("--dry-run", "show which steps would match and why others would not; store nothing");
  examples(dispatch, [
    [`codex-flow dispatch --type demo.hello --payload '{"name":"Ada"}'`, "an event from flags"],
    ["codex-flow dispatch event.json --wait", "from a file; the exit code shows how the runs ended"],
    ["jq '.event' hook.json | codex-flow dispatch - --wait 60", "from standard input, for at most a minute"],
    ["codex-flow dispatch event.json --dry-run", "why does my step not match?"],
  ]);
  act(dispatch, sendEvent);
}

async function sendEvent(
  invocation: Invocation,
  options: DispatchOptions,
  operand?: string,
): Promise<number> {
  // In `dispatch --wait event.json` the flag takes the file for its own value.
  const swallowed = operand === undefined && typeof options.wait === "string" && !isSeconds(options.wait);
  const file = swallowed ? String(options.wait) : operand;
  const wait = waitOption(swallowed ? true : options.wait);

  const { readEvent } = await import("./event-input.ts");
  const event = await readEvent(file, options);
  const { client, connection } = await invocation.connect("token or secret");
  if (options.dryRun === true) {
    const answer = await client.dryRun(event);
    const { renderDryRun } = await import("./render/event.ts");
    await invocation.output.show(answer, (style) => renderDryRun(style, answer));
    return answer.matches.length > 0 ? EXIT.ok : EXIT.bad;
  }
  const { followAnswer, withReasons } = await import("./dispatch-answer.ts");
  const answer = await dispatchOrRefuse(invocation, client, event, options.mustMatch);
  if (answer === undefined) return EXIT.bad;
  // The same event again is a duplicate that starts nothing and answers with its runs (invariant 2). So waiting
  // needs no other right than sending.
  return followAnswer(invocation.output, answer, wait, async (seconds) => {
    const { runs } = await client.dispatch(event, { wait: seconds });
    const own = runs.filter((run) => answer.runIds.includes(run.id));
    return connection.token === undefined ? own : withReasons(client, own);
  });
}

/** The edge's answer; undefined for an event that had to match and does not, which is said on standard error. */
async function dispatchOrRefuse(
  invocation: Invocation,
  client: EdgeClient,
  event: FlowEventInput,
  mustMatch: boolean | undefined,
): Promise<DispatchAnswer | undefined> {
  try {
    return await client.dispatch(event, { mustMatch });
  } catch (error) {
    const { problemOf } = await import("./problem.ts");
    const problem = problemOf(error);
    if (mustMatch !== true || problem.code !== "nothing_matched") throw error;
    invocation.sayProblem({ ...problem, exitCode: EXIT.bad });
    return undefined;
  }
}
