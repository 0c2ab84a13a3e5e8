/**
 * The commands that Discord is told of, as data: `codex-flow discord register` sends them, and the edge answers them
 * (worker/discord/commands). Renaming one loses what admins have set for it on their servers.
 *
 * They hide nothing and guard nothing: whoever uses one is judged by ChatAccess each time.
 */
import type {
  APIApplicationCommandBasicOption,
  APIApplicationCommandSubcommandOption,
  RESTPostAPIApplicationCommandsJSONBody,
} from "discord-api-types/v10";
import { PROCESS_STATUSES } from "../run-record.ts";

export type DiscordCommand = RESTPostAPIApplicationCommandsJSONBody;

/** Where the edge takes interactions. */
export const DISCORD_INTERACTIONS_PATH = "/discord/interactions";

/** Discord's numbers for kinds of options; its own enums would cost the Worker 89 KB. */
const OPTION = { subcommand: 1, text: 3, integer: 4, flag: 5, mentionable: 9, number: 10 } as const;
const COMMAND = { slash: 1, message: 3 } as const;
/** The bit of "Manage Server", as Discord writes permissions: who sees commands that set things up. */
const MANAGE_SERVER = "32";
/** In servers only: in direct messages nobody has roles. And installed to servers only. */
const IN_SERVERS = { contexts: [0], integration_types: [0] };

/** The message command: its name is shown as it stands here. */
export const SEND_TO_CODEX = "Send to Codex";

const run = text("run", "Run; in a thread of one, that one", { autocomplete: true });
const choices = (...values: string[]): { name: string; value: string }[] =>
  values.map((value) => ({ name: value, value }));
const project = text("project", "Name of a project of the runner", { max_length: 64 });
const workdir = text("workdir", "Folder below a project of the runner, or its workspace", {
  max_length: 1024,
});
const session = text("session", "Go on with the Codex thread of this place, or begin a new one", {
  choices: choices("auto", "new", "reuse"),
});
const type = text("type", "Type of the event", { required: true, autocomplete: true, max_length: 128 });
const flow = text("flow", "Name of a flow; * for all", { autocomplete: true, max_length: 64 });
const eventType = text("type", "Type of events; * for all", { autocomplete: true, max_length: 128 });
const payload = text("payload", "JSON; without it a form asks for it", { max_length: 6000 });
const words = text("text", "What to say", { required: true, max_length: 6000 });
const who = { type: OPTION.mentionable, name: "who", description: "Role or user", required: true } as const;

export const DISCORD_COMMANDS: DiscordCommand[] = [
  slash("flow", "Events and their runs", [
    sub("dispatch", "Send an event", [type, payload]),
    sub("events", "Newest events", [eventType]),
    sub("runs", "Newest runs", [
      text("status", "Only these", {
        choices: choices(...PROCESS_STATUSES, "blocked", "needs_intervention"),
      }),
      flow,
    ]),
    sub("show", "One run", [run]),
    sub("logs", "The end of a run's output", [run]),
    sub("cancel", "Stop a run", [run]),
    sub("replay", "Send the event of a run again, or any event", [
      run,
      text("event", "Id of an event", { max_length: 512 }),
    ]),
    sub("dry-run", "What an event would start; starts nothing", [type, payload]),
  ]),
  slash("codex", "Codex", [
    sub("ask", "Start Codex with a prompt", [
      text("prompt", "What to do; without it a form asks for it", { max_length: 6000 }),
      project,
      workdir,
      session,
    ]),
    sub("say", "Say something to the agent of a run while it works", [words, run]),
    sub("steer", "The same as say", [words, run]),
    sub("stop", "Stop a run", [run]),
    sub("approve", "Answer what a run asks leave for", [
      text("decision", "Your answer; without it: accept", {
        choices: choices("accept", "accept_for_session", "decline", "cancel"),
      }),
      run,
      text("approval", "Which one, when several are open", { max_length: 64 }),
    ]),
    sub("budget", "Give a run more", [
      { type: OPTION.integer, name: "tokens", description: "Tokens to add", min_value: 1 },
      { type: OPTION.integer, name: "seconds", description: "Seconds to add", min_value: 1 },
      { type: OPTION.number, name: "usd", description: "Dollars to add", min_value: 0.01 },
      run,
    ]),
  ]),
  slash("codeflow", "Whether relays may post here", [
    sub("on", "Let them post to this channel, or to this thread", [
      text("session", "Only this session key", { max_length: 128 }),
    ]),
    sub("off", "Forbid it", []),
    sub("status", "Whether they may", []),
  ]),
  {
    ...slash("channel", "What this channel follows, and where Codex works", [
      sub("show", "What is set", []),
      sub("follow", "Show the runs of a flow, or of a type of events, here", [flow, eventType]),
      sub("unfollow", "Show them no more", [flow, eventType]),
      sub("set", "Where Codex works for this channel, and how runs are shown", [
        project,
        workdir,
        session,
        text("output", "How much of a run is shown", { choices: choices("minimal", "balanced", "verbose") }),
        { type: OPTION.flag, name: "safe", description: "Leave out bodies of commands and files" },
        { type: OPTION.flag, name: "threads", description: "A thread for each run" },
        {
          type: OPTION.flag,
          name: "listen",
          description: "Say to a run what mentions the bot in its thread; costs a request every few seconds",
        },
      ]),
      sub("clear", "Codex works in the runner's workspace again", []),
    ]),
    default_member_permissions: MANAGE_SERVER,
  },
  slash("runners", "Which runners are there, and why runs wait"),
  slash("status", "Whether the bot can post, and what was done last"),
  {
    ...slash("roles", "Who may do what", [
      sub("set", "Give a role or a user scopes, or deny them everything", [who]),
      sub("list", "What was given", []),
    ]),
    default_member_permissions: MANAGE_SERVER,
  },
  { type: COMMAND.message, name: SEND_TO_CODEX, ...IN_SERVERS },
];

function slash(
  name: string,
  description: string,
  options: APIApplicationCommandSubcommandOption[] = [],
): DiscordCommand {
  return { type: COMMAND.slash, name, description, options, ...IN_SERVERS };
}

function sub(
  name: string,
  description: string,
  options: APIApplicationCommandBasicOption[],
): APIApplicationCommandSubcommandOption {
  return { type: OPTION.subcommand, name, description, options };
}

function text(
  name: string,
  description: string,
  more: {
    required?: boolean;
    autocomplete?: true;
    max_length?: number;
    choices?: { name: string; value: string }[];
  } = {},
): APIApplicationCommandBasicOption {
  return { type: OPTION.text, name, description, ...more } as APIApplicationCommandBasicOption;
}
