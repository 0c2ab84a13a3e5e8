/**
 * One command relayed: which agent it is, how it is completed, and its session from there. What `relay`, `relay review` and
 * `relay parallel` have in common.
 */
import { EdgeAnswerError } from "../../client/edge-errors.ts";
import { shortened } from "../../contract/chat/short-text.ts";
import type { RelayMode } from "../../contract/relay.ts";
import type { AgentLog } from "../log.ts";
import type { Secret } from "../config/step-environment.ts";
import { Redactor } from "../steps/redaction.ts";
import type { StartStep } from "../steps/start-step.ts";
import { DEFAULT_CLOCKS } from "../steps/clocks.ts";
import { agentSecrets, agentVariables } from "./agent-secrets.ts";
import { RelayCommandError } from "./agents/agent.ts";
import { agentOf } from "./agents/agents.ts";
import { findProgram } from "./agent-process.ts";
import { CodexThreads, threadsFile } from "./codex-threads.ts";
import { auditGuard, commandHint, unavailable } from "./guard-audit.ts";
import { endLeftSessions, makeRelayFolder, removeOldFolders } from "./relay-folder.ts";
import { relaySession, type RelayEdge, type RelayEnd, type RelaySession, type RelayStops } from "./relay.ts";
import type { RelaySettings } from "./relay-settings.ts";
import { replayStarter } from "./replay.ts";
import { RelayedSession, type LocalInput, type SessionDisplay } from "./session.ts";
import { StreamLog, type LoggedStream } from "./stream-log.ts";

const TITLE_MAX_CHARS = 120;

/** Around a session: the process that relays it. */
export interface RelayHost {
  edge: RelayEdge;
  environment: Readonly<Record<string, string | undefined>>;
  display: SessionDisplay;
  say: AgentLog;
  stops: RelayStops;
}

export interface RelayedCommand {
  mode: RelayMode;
  command: readonly string[];
  /** Of the prompt; undefined: nothing stands on standard input. */
  stdin: () => Promise<string | undefined>;
  title?: string;
  worktree?: boolean;
  /** The relay's own standard input is a pipe or a file. */
  isInputPiped: boolean;
  /** For a program that takes it. */
  localInput?: LocalInput;
}

/** @throws RelayCommandError, and the errors of client/edge-errors.ts while nothing is started */
export async function relayCommand(
  settings: RelaySettings,
  { mode, command, stdin, title, worktree = false, isInputPiped, localInput }: RelayedCommand,
  host: RelayHost,
): Promise<RelayEnd> {
  const { workdir, policy } = settings;
  const agent = agentOf(command);
  const threads = new CodexThreads(threadsFile(host.environment));
  const launch = await agent.launch(command, {
    prompt: settings.prompt,
    stdin,
    isInputPiped,
    earlierThread: async (prompt) => threads.choose(settings.sessions, workdir, prompt),
  });
  if (findProgram(launch.file, workdir, host.environment) === undefined)
    throw new RelayCommandError(
      `there is no program ${launch.file}`,
      "install it, or write its path; it is looked for in PATH",
    );
  const secrets = agentSecrets(host.environment, host.edge.token);
  const name = settings.name ?? agent.title(command);
  return await relayWith(settings, host, {
    mode,
    agent: name,
    title: sessionTitle(title ?? defaultTitle(name, workdir), secrets),
    commandHint: commandHint(command, secrets),
    listens: launch.say !== undefined,
    worktree,
    starter: (log) => (request, events, clocks) =>
      new RelayedSession(
        {
          agent,
          name,
          launch,
          workdir,
          hangMs: settings.hangMs,
          policy,
          log,
          display: host.display,
          threadKnown: (thread, tokens) => {
            // What is remembered is a convenience: a folder that cannot be written ends no session.
            if (agent.name === "codex" && !worktree)
              threads.remember(workdir, { thread, tokens }, Date.now()).catch((error: unknown) => {
                host.say("warn", `the Codex session could not be remembered: ${String(error)}`);
              });
          },
          ...(localInput === undefined ? {} : { localInput }),
        },
        request,
        events,
        clocks ?? DEFAULT_CLOCKS,
      ),
  });
}

/** Shows a session that was logged again, with the directory in which it worked. */
export async function relayAgain(
  settings: RelaySettings,
  stream: LoggedStream,
  folder: string,
  host: RelayHost,
): Promise<RelayEnd> {
  const { agent, title, workdir } = stream.session;
  const shownAgain = title === defaultTitle(agent, workdir) ? "Shown again" : `${title} (again)`;
  return await relayWith({ ...settings, workdir: workdir === "" ? settings.workdir : workdir }, host, {
    mode: "resume",
    agent: settings.name ?? agent,
    title: shortened(shownAgain, TITLE_MAX_CHARS),
    commandHint: `resume ${folder}`.slice(0, TITLE_MAX_CHARS),
    listens: false,
    worktree: false,
    starter: (log) => replayStarter(stream, settings.policy, log, host.display),
  });
}

function defaultTitle(agent: string, workdir: string): string {
  return `${agent} in ${workdir}`;
}

/** What people read of a session before anything else: a prompt may be long, and hold what nobody is to see. */
export function sessionTitle(text: string, secrets: readonly Secret[]): string {
  const line = new Redactor(secrets).text(text).replaceAll(/\s+/g, " ").trim();
  return shortened(line.toWellFormed(), TITLE_MAX_CHARS);
}

interface Relayed extends Pick<
  RelaySession,
  "mode" | "agent" | "title" | "commandHint" | "listens" | "worktree"
> {
  starter(log: StreamLog): StartStep;
}

async function relayWith(
  settings: RelaySettings,
  host: RelayHost,
  { starter, ...relayed }: Relayed,
): Promise<RelayEnd> {
  const { edge, environment, say } = host;
  const { place, sessionKey, workdir, timeoutMs, silenceMs, thread } = settings;
  const secrets = agentSecrets(environment, edge.token);
  const answered = async (allowed: boolean, reason: string): Promise<void> =>
    auditGuard({ place, mode: relayed.mode, allowed, reason, commandHint: relayed.commandHint }, environment);
  // Of the guard, once it is known.
  const asked = { allowed: false };
  const session: RelaySession = {
    ...relayed,
    ...{ place, sessionKey, workdir, timeoutMs, silenceMs, thread },
    environment: { variables: agentVariables(environment, edge.token), secrets },
    prepare: async () => {
      asked.allowed = true;
      await answered(true, "allowed");
      for (const runId of await endLeftSessions())
        say("warn", "stopped what an earlier relay left running", { run: runId });
      await removeOldFolders(Date.now());
      const folder = await makeRelayFolder();
      const log = new StreamLog(folder, settings.logPolicy);
      say("info", `relaying: ${relayed.title}`, { folder });
      return { folder, log, start: starter(log) };
    },
  };
  try {
    return await relaySession(edge, session, say, host.stops);
  } catch (error) {
    // Closed, or not to be asked, which is the same here.
    const closed = error instanceof EdgeAnswerError && error.code === "guard_closed";
    if (!asked.allowed) await answered(false, closed ? error.message : unavailable(error));
    throw error;
  }
}
