/**
 * The command line as a whole: global options, commands, and what becomes of an error. Commands import what they
 * need when they run, so that --help is quick and the runner stays small.
 */
import { Command, CommanderError } from "commander";
import packageDescription from "../../package.json" with { type: "json" };
import { registerApprovals } from "./approvals-command.ts";
import { registerAudit, registerRoles } from "./chat-access-command.ts";
import { registerDev } from "./dev-command.ts";
import { registerDiscord } from "./discord-command.ts";
import { registerDispatch } from "./dispatch-command.ts";
import { registerEvents } from "./events-command.ts";
import { EXIT, exitCodeHelp } from "./exit-codes.ts";
import { registerFire } from "./fire-command.ts";
import { registerFlows } from "./flows-command.ts";
import { createAct, type Act, type Host } from "./invocation.ts";
import { registerLogin, registerLogout, registerProfiles } from "./login-command.ts";
import { examples } from "./option-values.ts";
import { createOutput } from "./output.ts";
import { problemDocument, problemOf, renderProblem, UsageError } from "./problem.ts";
import { registerControl } from "./control-command.ts";
import { registerRelay } from "./relay-command.ts";
import { registerRun } from "./run-command.ts";
import { registerRunner } from "./runner-command.ts";
import { registerRunners } from "./runners-command.ts";
import { registerRuns } from "./runs-command.ts";
import { registerStatus } from "./status-command.ts";
import { registerTelegram } from "./telegram-command.ts";

/** Runs one command line (without the program's name) and resolves to its exit code. Never rejects. */
export async function runCli(words: readonly string[], host: Host): Promise<number> {
  let exitCode: number = EXIT.ok;
  let help = "";
  const program = buildProgram(
    host,
    createAct(host, (code) => {
      exitCode = code;
    }),
    (text) => {
      help += text;
    },
  );
  const { command, unknown } = commandNamedBy(program, words);
  try {
    // Commander would take the word for an operand of a group's default command.
    if (unknown !== undefined && command !== program) throw unknownCommand(command, unknown);
    // Commander would answer `nonsense --help` with the help of the program and success.
    const parsed = unknown === undefined ? words : words.filter((word) => !HELP_FLAGS.includes(word));
    await program.parseAsync(parsed, { from: "user" });
    return exitCode;
  } catch (error) {
    if (!(error instanceof CommanderError)) return report(error, words, host);
    if (error.exitCode === 0) return EXIT.ok;
    if (error.code !== NO_COMMAND || words.includes("--json"))
      return report(usageErrorFrom(error, command), words, host);
    host.err.write(help);
    return EXIT.usage;
  }
}

/** Commander's code for a call that names no command, or only a group of them: it shows the help. */
const NO_COMMAND = "commander.help";

/** `onError` receives what Commander would write to standard error. */
function buildProgram(host: Host, act: Act, onError: (text: string) => void): Command {
  const program = new Command("codex-flow")
    .description(
      "Event-driven automation for Codex: send events, watch runs, and run the steps of flow packages.",
    )
    .version(packageDescription.version)
    .option("--url <url>", "the edge (else CODEX_FLOW_URL, else the profile)")
    .option(
      "--token <token>",
      "bearer token (else CODEX_FLOW_TOKEN, else the profile); other users of this machine can see flags",
    )
    .option("--profile <name>", "a profile saved by `codex-flow login`; comes before the environment")
    .option("--json", "print the answer as JSON, and errors as JSON on standard error")
    .option("--no-color", "print without colours (also NO_COLOR)")
    .configureHelp({ showGlobalOptions: true })
    .addHelpText("after", exitCodeHelp());
  examples(program, [
    ["codex-flow dev", "an edge and a runner on this machine"],
    ["codex-flow login --url https://… --token …", "remember an edge"],
    ["codex-flow status", "what runs, what waits, and what needs attention"],
    ["codex-flow dispatch event.json --wait", "send an event and see how it ends"],
    ["codex-flow runs logs -f run_…", "follow a run"],
  ]);
  // Commander's own words for a usage error are said by report(), in the one shape that errors have.
  program
    .exitOverride()
    .configureOutput({ writeOut: (text) => void host.out.write(text), writeErr: onError });
  for (const register of [
    registerStatus,
    registerDispatch,
    registerRuns,
    registerApprovals,
    registerEvents,
    registerRunners,
    registerFlows,
    registerFire,
    registerRun,
    registerDiscord,
    registerRoles,
    registerAudit,
    registerLogin,
    registerLogout,
    registerProfiles,
    registerRunner,
    registerRelay,
    registerControl,
    registerDev,
    registerTelegram,
  ])
    register(program, act);
  return program;
}

/** Commander's "error: unknown option '--x'\n(Did you mean --y?)" as one of ours. */
function usageErrorFrom(error: CommanderError, command: Command): UsageError {
  const what =
    error.code === NO_COMMAND
      ? "no command is given"
      : error.message.replace(/^error: /, "").replaceAll("\n", " ");
  const path = pathOf(command);
  const plural = PLURALS[path];
  return new UsageError(
    what,
    `see \`${path} --help\`${plural === undefined ? "" : `, or \`${plural} --help\` for what is stored`}`,
  );
}

/** Commands that people mean when they type the other number. */
const PLURALS: Partial<Record<string, string>> = {
  "codex-flow run": "codex-flow runs",
  "codex-flow runner": "codex-flow runners",
};

function unknownCommand(group: Command, word: string): UsageError {
  const names = group.commands.map((one) => one.name()).join(", ");
  const path = pathOf(group);
  return new UsageError(`unknown command '${word}'; ${path} has ${names}`, `see \`${path} --help\``);
}

/** "codex-flow runs list". */
function pathOf(command: Command): string {
  return command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`;
}

const HELP_FLAGS = ["--help", "-h"];

/**
 * The command that the words lead to. `unknown`: a word that stands where a command must be, and is none. Looks at names alone;
 * whether the rest is right is Commander's business.
 */
function commandNamedBy(program: Command, words: readonly string[]): { command: Command; unknown?: string } {
  let command = program;
  for (let index = 0; index < words.length; index += 1) {
    const word = words[index] ?? "";
    if (word === "--") break;
    if (word.startsWith("-")) {
      if (takesNextWord(command, word)) index += 1;
      continue;
    }
    if (command.commands.length === 0) break;
    const next = command.commands.find((one) => one.name() === word || one.aliases().includes(word));
    if (next === undefined)
      return command.registeredArguments.length === 0 && word !== "help"
        ? { command, unknown: word }
        : { command };
    command = next;
  }
  return { command };
}

/** Whether an option has its value in the next word. It may be the command's own, one above it, or its default command's. */
function takesNextWord(command: Command, flag: string): boolean {
  const owners = [...command.commands];
  for (let owner: Command | null = command; owner !== null; owner = owner.parent) owners.unshift(owner);
  const option = owners
    .flatMap((owner) => owner.options)
    .find(({ long, short }) => long === flag || short === flag);
  return option?.required ?? false;
}

function report(error: unknown, words: readonly string[], host: Host): number {
  const problem = problemOf(error);
  // The flags may be what is wrong, so they are looked for as they stand.
  if (words.includes("--json")) host.err.write(`${JSON.stringify(problemDocument(problem))}\n`);
  else {
    const color = !words.includes("--no-color");
    const output = createOutput({ ...host, json: false, color });
    output.note(({ colors }) => renderProblem(problem, (word) => colors.bold(colors.red(word))));
  }
  return problem.exitCode;
}
