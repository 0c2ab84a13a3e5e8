/** `codex-flow relay`: a coding agent's session into a chat, through the edge. The work is done by relay/, imported only then. */
import type { Command } from "commander";
import type { PlaceFlags, RelayFlags } from "../relay/relay-settings.ts";
import type { Act, Invocation } from "./invocation.ts";
import { examples, wholeNumber } from "./option-values.ts";
import { UsageError } from "./problem.ts";

/** As relay/relay-settings.ts; not imported for a help text. */
const SECONDS_MAX = 604_800;

interface RelayOptions extends PlaceFlags {
  w?: string;
  t?: number;
  h?: number;
  n?: string;

  P?: string;
  silence?: number;
  thread?: boolean;
  skipReads?: boolean;
  newSession?: boolean;
  reuseSession?: boolean;
  promptStdin?: boolean;
  promptArgv?: boolean;
  tty?: boolean;
}

export function registerRelay(program: Command, act: Act): void {
  const relay = program
    .command("relay")
    .description("Run a coding agent on this machine and show its session in a chat")
    .helpOption("--help", "show this help")
    .addHelpText("after", "\nOptions of a session: codex-flow relay run --help");
  const run = relayOptions(relay.command("run", { isDefault: true }))
    .description("Run a command and show what it does; write -- before the command")
    .argument("<command...>", "the agent: codex exec …, claude -p …, or any program")
    .option("--tty", "type piped input into a terminal of the program, instead of handing on the pipe")
    .addHelpText("after", EXIT_CODES);
  examples(run, [
    [
      "codex-flow relay --channel 1234 -w ~/app -- codex exec - < prompt.md",
      "Codex, with its prompt on standard input",
    ],
    [
      "codex-flow relay -P telegram --tg-chat -100123 -- claude -p 'fix the tests'",
      "Claude Code, to Telegram",
    ],
    ["codex-flow relay --channel 1234 -- ./install.sh", "any program, in a terminal of its own"],
    [
      "cat prompt.md | codex-flow relay --channel 1234 -- gemini -p -",
      "any program, with its input from a pipe",
    ],
  ]);
  act(run, runRelay);

  const resume = relayOptions(relay.command("resume"))
    .description("Show an earlier session again from its relay folder, or send the rest of it to the edge")
    .argument("<dir>", "its folder: dev-relay.XXXXXX in the temporary directory");
  examples(resume, [
    ["codex-flow relay resume --channel 1234 /tmp/dev-relay.a1B2c3", "show a session again, as a new run"],
  ]);
  act(resume, resumeRelay);

  const review = relayOptions(relay.command("review"))
    .description("Have an agent review a pull request, in a clone of its own")
    .argument("<pr_url>", "https://host/owner/repo/pull/<n>")
    .option("-a, --agent <agent>", "claude or codex", "codex")
    .option("-p, --prompt <prompt>", "what else to look at")
    .option("-c, --comment", "post the result as a comment on the pull request, with gh");
  examples(review, [
    ["codex-flow relay review --channel 1234 https://github.com/o/r/pull/7", "show the review in the chat"],
    [
      "codex-flow relay review --channel 1234 -a claude -c https://github.com/o/r/pull/7",
      "and post it on the pull request",
    ],
  ]);
  act(review, reviewRelay);

  const parallel = relayOptions(relay.command("parallel"))
    .description("Run several tasks at the same time, each in a session of its own")
    .argument("<tasks_file>", "one task per line: directory | prompt; # begins a comment")
    .option("-a, --agent <agent>", "claude or codex", "codex")
    .option("--worktree", "each task works in a git worktree of its own");
  examples(parallel, [
    ["codex-flow relay parallel --channel 1234 --worktree tasks.txt", "see docs/relay.md"],
  ]);
  act(parallel, parallelRelay);
}

/** `-h` is the hang threshold here, for compatibility; the help is --help alone. */
function relayOptions(command: Command): Command {
  return placeOptions(command)
    .helpOption("--help", "show this help")
    .option("-w <dir>", "working directory (default: the current one)")
    .option("-t <sec>", "stop the session after this long (default: 1800)", wholeNumber(1, SECONDS_MAX))
    .option("-h <sec>", "warn after this long without output (default: 120)", wholeNumber(1, SECONDS_MAX))
    .option(
      "--silence <sec>",
      "stop after this long without output (default: ten times -h)",
      wholeNumber(1, SECONDS_MAX),
    )
    .option("-n <name>", "name of the agent (default: the program's)")
    .option("--thread", "use a thread of its own, also where the channel's setting is none")
    .option("--skip-reads", "do not show files that are read or searched")
    .option("--new-session", "Codex: start a new session")
    .option("--reuse-session", "Codex: continue the last session of this directory, or fail")
    .option("--prompt-stdin", "require the prompt on standard input")
    .option("--prompt-argv", "allow the prompt as an argument");
}

export function placeOptions(command: Command): Command {
  return command
    .option("-P <platform>", "discord, telegram or auto (default: by the chat that is named)")
    .option("--channel <id>", "channel of Discord (else CODEFLOW_DISCORD_CHANNEL)")
    .option("--discord-thread <id>", "thread of that channel (else CODEFLOW_DISCORD_THREAD)")
    .option("--tg-chat <id>", "chat of Telegram (else CODEFLOW_TELEGRAM_CHAT)")
    .option("--tg-thread <id>", "topic of that chat (else CODEFLOW_TELEGRAM_THREAD)");
}

const EXIT_CODES = `
Exit codes: the command's own; 2 for wrong flags or a program that is not installed; 124 when the timeout or the silence
limit stopped it; 125 when the guard of the channel is closed or the edge cannot be reached, so that nothing was started;
130 when it was stopped, here or in the chat.`;

function flagsOf(options: RelayOptions): RelayFlags {
  const { w, t, h, n, P, ...rest } = options;
  const named = { workdir: w, timeout: t, hang: h, name: n, platform: P };
  const given = Object.entries(named).filter(([, value]) => value !== undefined);
  return { ...rest, ...Object.fromEntries(given) };
}

export function placeFlags(given: PlaceFlags & { P?: string }): PlaceFlags {
  const { P, channel, discordThread, tgChat, tgThread } = given;
  const all = { platform: P, channel, discordThread, tgChat, tgThread };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}

async function runRelay(
  invocation: Invocation,
  options: RelayOptions,
  ...command: string[]
): Promise<number> {
  const { relayRun } = await import("./relay-session.ts");
  return relayRun(invocation, flagsOf(options), command);
}

async function resumeRelay(invocation: Invocation, options: RelayOptions, folder = ""): Promise<number> {
  const { relayResume } = await import("./relay-session.ts");
  return relayResume(invocation, flagsOf(options), folder);
}

async function reviewRelay(
  invocation: Invocation,
  options: RelayOptions & { agent: string; prompt?: string; comment?: boolean },
  url = "",
): Promise<number> {
  const { agent, prompt, comment, ...rest } = options;
  const { relayReview } = await import("./relay-session.ts");
  return relayReview(invocation, flagsOf(rest), {
    url,
    agent: agentName(agent),
    comment: comment === true,
    ...(prompt === undefined ? {} : { prompt }),
  });
}

async function parallelRelay(
  invocation: Invocation,
  options: RelayOptions & { agent: string; worktree?: boolean },
  file = "",
): Promise<number> {
  const { agent, worktree, ...rest } = options;
  const { relayParallel } = await import("./relay-session.ts");
  return relayParallel(invocation, flagsOf(rest), {
    file,
    agent: agentName(agent),
    worktree: worktree === true,
  });
}

function agentName(name: string): "codex" | "claude" {
  if (name === "codex" || name === "claude") return name;
  throw new UsageError(`-a ${name} is not a known agent`, "write -a codex or -a claude");
}
