/** `codex-flow runs say` and `codex-flow runs budget`: what people do to a run while it runs, or once its budget has ended it. */
import { text as readAll } from "node:stream/consumers";
import type { Command } from "commander";
import type { BudgetRequest } from "../../client/http.ts";
import { BUDGET_SECONDS_MAX, BUDGET_TOKENS_MAX, BUDGET_USD_MAX } from "../../contract/limits.ts";
import { EXIT, exitCodeOfRuns } from "./exit-codes.ts";
import type { Act, Invocation } from "./invocation.ts";
import { byOption, examples, positiveNumber, waitOption, wholeNumber, whoSays } from "./option-values.ts";
import { UsageError } from "./problem.ts";
import { resolveRun } from "./short-ids.ts";

interface BudgetOptions extends BudgetRequest {
  wait?: string | true;
}

/** Standard input as an operand. */
const STDIN = "-";
const RUN = "run_0123456789abcdef_1";

export function registerSteering(runs: Command, act: Act): void {
  const say = byOption(
    runs
      .command("say")
      .description(
        "Send a message to a running Codex step: it steers the active turn, or starts the next one",
      )
      .argument("<id>", "id of the run")
      .argument("<text>", "text of the message; - for standard input"),
  );
  examples(say, [
    [`codex-flow runs say ${RUN} "leave the tests alone"`, "one sentence"],
    [`codex-flow runs say ${RUN} - < review.md`, "a longer text"],
  ]);
  act(say, sayToRun);

  const budget = byOption(
    runs
      .command("budget")
      .description("Raise the budget of a run; a new run continues one that has already ended at its budget")
      .argument("<id>", "id of the run")
      .option("--add-tokens <n>", "tokens to add", wholeNumber(1, BUDGET_TOKENS_MAX))
      .option("--add-seconds <n>", "seconds of turns to add", positiveNumber(BUDGET_SECONDS_MAX))
      .option("--add-usd <n>", "US dollars to add", positiveNumber(BUDGET_USD_MAX))
      .option("--wait [seconds]", "wait for the continued run (maximum wait), and exit by its result"),
  );
  examples(budget, [
    [`codex-flow runs budget ${RUN} --add-tokens 200000`, "while it runs, or when it has used its budget up"],
    [`codex-flow runs budget ${RUN} --add-usd 0.5 --wait`, "and see how it ends"],
  ]);
  act(budget, raiseBudget);
}

async function sayToRun(
  invocation: Invocation,
  options: { by?: string },
  id = "",
  given = "",
): Promise<number> {
  const text = (given === STDIN ? await readAll(process.stdin) : given).trimEnd();
  if (text === "")
    throw new UsageError("there is nothing to say", `write it in quotes, or - to read standard input`);
  const { client } = await invocation.connect();
  const run = await resolveRun(client, id);
  const message = await client.say(run, { text, by: whoSays(options) });
  const { renderSaid } = await import("./render/run-conversation.ts");
  await invocation.output.show({ message }, (style) => renderSaid(style, run, message));
  return EXIT.ok;
}

async function raiseBudget(invocation: Invocation, options: BudgetOptions, id = ""): Promise<number> {
  const wait = waitOption(options.wait);
  const { addTokens, addSeconds, addUsd } = options;
  if (addTokens === undefined && addSeconds === undefined && addUsd === undefined)
    throw new UsageError("nothing is added", "say how much: --add-tokens, --add-seconds or --add-usd");
  const { client } = await invocation.connect();
  const run = await client.raiseBudget(await resolveRun(client, id), {
    addTokens,
    addSeconds,
    addUsd,
    by: whoSays(options),
  });
  const { renderRaised } = await import("./render/run-conversation.ts");
  if (wait === undefined) {
    await invocation.output.show({ run }, (style) => renderRaised(style, id, run));
    return EXIT.ok;
  }
  const { output } = invocation;
  output.note((style) => renderRaised(style, id, run));
  const [{ watchRuns }, { resultLine }] = await Promise.all([
    import("./watching.ts"),
    import("./render/run.ts"),
  ]);
  const { runs, over } = await watchRuns(output, {
    runs: [run],
    refresh: async () => [await client.getRun(run.id)],
    seconds: wait.seconds,
  });
  const [ended = run] = runs;
  await output.show({ run: ended }, (style) => resultLine(style, ended));
  return over ? exitCodeOfRuns(runs) : EXIT.unfinished;
}
