/**
 * `codex-flow control` and `codex-flow guard`: whether relayed sessions may be shown in a channel. `control` takes what somebody
 * wrote there, word for word, and has the edge answer in the channel; `guard` is the same for scripts, without an answer there.
 */
import { userInfo } from "node:os";
import { Argument, type Command } from "commander";
import { EdgeAnswerError } from "../../client/edge-errors.ts";
import type { ControlAction, ControlAnswer, ControlRequest } from "../../contract/relay.ts";
import type { PlaceFlags } from "../relay/relay-settings.ts";
import { EXIT } from "./exit-codes.ts";
import type { Act, Invocation } from "./invocation.ts";
import { examples } from "./option-values.ts";
import { problemOf, UsageError } from "./problem.ts";
import { placeFlags, placeOptions } from "./relay-command.ts";

/** The edge has done it, and whoever asked has to say it: the next line is {message, buttons}. */
const NEEDS_LLM = 3;
const NEEDS_LLM_WORD = "NEED_LLM_ROUTE";
/** The edge could not be asked: never the code above, by which a host would answer in its place. */
const UNREACHABLE = EXIT.edgeFailed;

interface ControlOptions extends PlaceFlags {
  sessionKey?: string;
}

const GUARD_ACTIONS: Readonly<Record<string, ControlAction>> = {
  activate: "on",
  deactivate: "off",
  status: "status",
  current: "status",
};

export function registerControl(program: Command, act: Act): void {
  const control = placeOptions(program.command("control"))
    .description("Run a /codeflow command that a user wrote in a channel, and answer there")
    .requiredOption("--session-key <key>", "conversation that it was written in")
    .requiredOption("--text <text>", "what was written, word for word")
    .addHelpText(
      "after",
      `\nExit codes: 0 when the edge answers in the channel; ${NEEDS_LLM} when it cannot: then the output is ${NEEDS_LLM_WORD}
and, on the next line, {message, buttons} for you to send; 2 for a text that is no command; ${UNREACHABLE} when the edge cannot be
reached or fails: then say that it failed, and that nothing is known to have changed.`,
    );
  examples(control, [
    ["codex-flow control --channel 1234 --session-key main --text '/codeflow on'", "allow relays"],
  ]);
  act(control, runControl);

  const guard = placeOptions(program.command("guard"))
    .description("Allow, forbid or check relayed sessions in a channel")
    .addArgument(new Argument("<action>", "what to do").choices(Object.keys(GUARD_ACTIONS)))
    .option("--session-key <key>", "conversation that the setting applies to");
  examples(guard, [
    ["codex-flow guard activate --channel 1234", "allow them"],
    ["codex-flow guard status --channel 1234", "exit code 0: allowed; 1: not"],
  ]);
  act(guard, runGuard);
}

async function runControl(
  invocation: Invocation,
  options: ControlOptions & { text: string },
): Promise<number> {
  const { routeControl } = await import("../relay/control-router.ts");
  const route = routeControl(options.text);
  if (route === undefined)
    throw new UsageError(`"${options.text}" is no command to /codeflow`, "pass it on to whoever it is for");
  const { client } = await invocation.connect("token");
  const request = await requestOf(invocation, options, route.action);
  let answer: ControlAnswer;
  try {
    answer = await client.controlRelay(request);
  } catch (error) {
    const problem = problemOf(error);
    if (problem.exitCode !== EXIT.unreachable) throw error;
    invocation.sayProblem(problem);
    return UNREACHABLE;
  }
  if (answer.posted) {
    await invocation.output.show(
      { ...answer, rest: route.rest },
      () => `${answer.message}\n(posted in the channel)`,
    );
    return EXIT.ok;
  }
  // In this form also with --json: hosts look for it.
  invocation.output.out.write(
    `${NEEDS_LLM_WORD}\n${JSON.stringify({ message: answer.message, buttons: buttonsFor(answer.guard) })}\n`,
  );
  return NEEDS_LLM;
}

/** As Telegram's inline keyboards are written. */
function buttonsFor(guard: "on" | "off") {
  return guard === "on"
    ? [[{ text: "Turn off", callback_data: "/codeflow off" }]]
    : [[{ text: "Turn on", callback_data: "/codeflow on" }]];
}

async function runGuard(invocation: Invocation, options: ControlOptions, word = ""): Promise<number> {
  const action = GUARD_ACTIONS[word] ?? "status";
  const { client } = await invocation.connect("token");
  const request = await requestOf(invocation, options, action);
  try {
    const answer = await client.controlRelay({ ...request, quiet: true });
    await invocation.output.show({ guard: answer.guard }, () => answer.message);
    return action === "status" && answer.guard === "off" ? EXIT.bad : EXIT.ok;
  } catch (error) {
    if (error instanceof EdgeAnswerError && error.code === "not_an_edge")
      throw new UsageError(`${client.url} knows nothing of guards`, "deploy this version of the edge there");
    throw error;
  }
}

async function requestOf(
  invocation: Invocation,
  options: ControlOptions,
  action: ControlAction,
): Promise<ControlRequest> {
  const { chatPlace } = await import("../relay/relay-settings.ts");
  const { sessionKey } = options;
  return {
    id: crypto.randomUUID(),
    place: chatPlace(placeFlags(options), invocation.host.environment),
    action,
    by: userInfo().username,
    ...(sessionKey === undefined ? {} : { sessionKey }),
  };
}
