/** The four ways to relay, from flags to an exit code: a command, a review, several tasks, an earlier session. */
import { existsSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { text as wholeText } from "node:stream/consumers";
import { readTextFile } from "../../catalog/text-file.ts";
import { GuardClosedError } from "../../contract/errors.ts";
import type { RelayMode } from "../../contract/relay.ts";
import { agentLog } from "../log.ts";
import { agentOf } from "../relay/agents/agents.ts";
import { auditGuard, unavailable } from "../relay/guard-audit.ts";
import {
  CloneError,
  cloneOf,
  commentOn,
  pullRequestOf,
  requireGh,
  reviewPrompt,
} from "../relay/pull-request.ts";
import { exitCodeOf, RELAY_EXIT, type RelayEnd } from "../relay/relay.ts";
import { relaySettings, type RelayFlags, type RelaySettings } from "../relay/relay-settings.ts";
import { relayAgain, relayCommand, type RelayHost } from "../relay/run-command.ts";
import type { SessionDisplay } from "../relay/session.ts";
import { journalIn } from "../relay/relay-folder.ts";
import { readStream } from "../relay/stream-log.ts";
import { readTasks } from "../relay/tasks-file.ts";
import { tellRest, tellUntold } from "../relay/untold.ts";
import { missingToken } from "./configuration.ts";
import type { Invocation } from "./invocation.ts";
import { problemOf, UsageError, type Problem } from "./problem.ts";
import { relayDisplay } from "./relay-display.ts";
import { isInputPiped, localInput } from "./relay-input.ts";
import { existingFolder } from "./workspace-folder.ts";

const AGENT_COMMANDS = {
  codex: ["codex", "exec", "--skip-git-repo-check", "-s", "workspace-write", "-"],
  claude: ["claude", "-p", "--permission-mode", "acceptEdits"],
} as const;
/** That may look and not change. */
const REVIEW_COMMANDS = {
  codex: ["codex", "exec", "-s", "read-only", "-"],
  claude: ["claude", "-p", "--disallowedTools", "Edit,Write,MultiEdit,NotebookEdit"],
} as const;
const FAILED = 1;
/** A relay that is over waits so long for what it tells of others. */
const TELLING_AT_END_MS = 10_000;
const SILENT: SessionDisplay = { item: () => undefined, text: () => undefined };

export async function relayRun(
  invocation: Invocation,
  flags: RelayFlags,
  command: readonly string[],
): Promise<number> {
  const settings = await settingsOf(invocation, flags);
  return await withHost(invocation, async (host) => {
    const end = await relayCommand(
      settings,
      {
        mode: "run",
        command,
        stdin: standardInput,
        isInputPiped: flags.tty !== true && isInputPiped(process.stdin),
        // An agent whose prompt is read from standard input gets it as a prompt.
        ...(agentOf(command).reader === undefined
          ? { localInput: localInput(process.stdin, interrupt) }
          : {}),
      },
      host,
    );
    return conclude(invocation, end);
  });
}

export async function relayResume(
  invocation: Invocation,
  flags: RelayFlags,
  folder: string,
): Promise<number> {
  const path = resolve(folder);
  if (existsSync(journalIn(path)))
    return await withHost(invocation, (host) => tellOf(invocation, path, host), false);
  const settings = await settingsOf(invocation, flags);
  const stream = await readStream(path);
  if (stream === undefined)
    throw new UsageError(`${folder} holds no session`, "name a relay's folder, with a stream.jsonl in it");
  return await withHost(invocation, async (host) =>
    conclude(invocation, await relayAgain(settings, stream, folder, host)),
  );
}

/** A session that the edge has not all of goes to its end in its own run, and is shown nowhere anew. */
async function tellOf(invocation: Invocation, folder: string, { edge, stops }: RelayHost): Promise<number> {
  const telling = await tellRest(folder, edge, stops.stopped);
  const runId = "runId" in telling ? telling.runId : undefined;
  const said = (): string => {
    switch (telling.kind) {
      case "told":
        return `Session ${telling.runId} is complete at the edge now.`;
      case "nothing":
        return `The edge already has the whole session (${folder}).`;
      case "away":
        return `Session ${telling.runId}: the edge is offline. ${kept(folder)}`;
      case "other_edge":
        return `This session belongs to the edge ${telling.url}. Name that edge with --url or CODEX_FLOW_URL.`;
      case "busy":
        return `The session still runs, or another program is sending the rest of it now (${folder}).`;
    }
  };
  const handedOver = telling.kind === "told" || telling.kind === "nothing";
  const code = handedOver ? 0 : RELAY_EXIT.refused;
  invocation.output.note(said);
  if (invocation.output.json) invocation.output.line({ runId, exitCode: code, handedOver, folder });
  return code;
}

export async function relayReview(
  invocation: Invocation,
  flags: RelayFlags,
  given: { url: string; agent: "codex" | "claude"; prompt?: string; comment: boolean },
): Promise<number> {
  const request = pullRequestOf(given.url);
  const settings = await settingsOf(invocation, flags);
  if (given.comment) await requireGh();
  return await withHost(invocation, async (host) => {
    await precheck(settings, "review", host);
    const { folder, remove } = await cloneOf(request, host.stops.stopped);
    try {
      const end = await relayCommand(
        { ...settings, workdir: folder, sessions: "new" },
        {
          mode: "review",
          command: REVIEW_COMMANDS[given.agent],
          stdin: async () => Promise.resolve(reviewPrompt(request, given.prompt)),
          isInputPiped: false,
          title: `Review of ${request.name}`,
        },
        host,
      );
      const code = conclude(invocation, end);
      if (given.comment && code === 0) await commentOn(given.url, end.result?.message ?? "");
      return code;
    } finally {
      await remove();
    }
  });
}

export async function relayParallel(
  invocation: Invocation,
  flags: RelayFlags,
  given: { file: string; agent: "codex" | "claude"; worktree: boolean },
): Promise<number> {
  const settings = await settingsOf(invocation, flags);
  const file = resolve(given.file);
  const read = await readTextFile(file).catch((error: unknown) => {
    const why = error instanceof Error ? error.message : String(error);
    throw new UsageError(`${file} cannot be read: ${why}`, "name a UTF-8 text file with one task per line");
  });
  const tasks = readTasks(read, given.file);
  return await withHost(invocation, async (host) => {
    await precheck(settings, "parallel", host);
    // Lines of several agents between each other tell nobody anything: each has its run.
    const quiet = invocation.output.json ? host : { ...host, display: SILENT };
    const ends = await Promise.all(
      tasks.map(async ({ prompt, line, directory }) => {
        const task = `${given.file}:${line} ${directory}`;
        try {
          const workdir = await existingFolder(
            resolve(dirname(file), directory),
            "correct the directory of this line",
          );
          const end = await relayCommand(
            { ...settings, workdir, sessions: "new" },
            {
              mode: "parallel",
              command: AGENT_COMMANDS[given.agent],
              stdin: async () => Promise.resolve(prompt),
              isInputPiped: false,
              title: prompt,
              worktree: given.worktree,
            },
            quiet,
          );
          if (!end.handedOver) invocation.output.note(() => `${task}: ${untold(end)}`);
          return {
            task,
            runId: end.runId,
            code: exitCodeOf(end),
            message: end.result?.message ?? end.refused ?? end.end?.error?.message,
          };
        } catch (error) {
          return { task, code: RELAY_EXIT.refused, message: problemOf(error).what };
        }
      }),
    );
    await invocation.output.show({ tasks: ends }, () =>
      ends
        .map(
          ({ task, code, message = "" }) =>
            `${code === 0 ? "ok" : `exit ${code}`}  ${task}  ${firstLine(message)}`,
        )
        .join("\n"),
    );
    return ends.every(({ code }) => code === 0) ? 0 : FAILED;
  });
}

function firstLine(text: string): string {
  return text.split("\n", 1)[0] ?? "";
}

async function settingsOf(invocation: Invocation, flags: RelayFlags): Promise<RelaySettings> {
  const settings = relaySettings(flags, invocation.host.environment);
  return {
    ...settings,
    workdir: await existingFolder(settings.workdir, "name a directory that exists with -w"),
  };
}

/** Asks the guard before anything is cloned or made (R1). */
async function precheck(settings: RelaySettings, mode: RelayMode, host: RelayHost): Promise<void> {
  const { place, sessionKey } = settings;
  const answered = async (allowed: boolean, reason: string): Promise<void> =>
    auditGuard({ place, mode, allowed, reason, commandHint: mode }, host.environment);
  const question = { place, mode, ...(sessionKey === undefined ? {} : { sessionKey }) };
  const { allowed, reason, how } = await host.edge.client.askGuard(question).catch(async (error: unknown) => {
    await answered(false, unavailable(error));
    throw error;
  });
  await answered(allowed, reason);
  if (!allowed) throw new GuardClosedError(reason, how);
}

/**
 * Runs with a connection and under signals; what is thrown before a session began is said, and is 125. Meanwhile what
 * earlier sessions have left untold is told, unless the work itself is that.
 */
async function withHost(
  invocation: Invocation,
  work: (host: RelayHost) => Promise<number>,
  tellsOthers = true,
): Promise<number> {
  const { client, connection } = await invocation.connect("token");
  if (connection.token === undefined) throw missingToken(connection, false);
  const [stop, leave, enough] = [new AbortController(), new AbortController(), new AbortController()];
  const stopping = (): void => {
    if (stop.signal.aborted) leave.abort();
    stop.abort();
    enough.abort();
  };
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) process.on(signal, stopping);
  const edge = { client, url: connection.url.value, token: connection.token.value };
  const say = agentLog(invocation.output.json);
  const telling = tellsOthers ? tellUntold(edge, say, enough.signal) : undefined;
  try {
    const code = await work({
      edge,
      environment: invocation.host.environment,
      display: relayDisplay(invocation.output),
      say,
      stops: { stopped: stop.signal, left: leave.signal },
    });
    await within(telling, TELLING_AT_END_MS, () => {
      enough.abort();
    });
    return code;
  } catch (error) {
    if (error instanceof UsageError) throw error;
    invocation.sayProblem(relayProblem(error));
    return RELAY_EXIT.refused;
  } finally {
    enough.abort();
    await telling;
    for (const signal of signals) process.off(signal, stopping);
    process.stdin.destroy();
  }
}

function relayProblem(error: unknown): Problem {
  if (!(error instanceof CloneError)) return problemOf(error);
  const { message: what, fix } = error;
  return { exitCode: RELAY_EXIT.refused, code: "clone_failed", what, fix, details: [] };
}

/** Waits for it; when it takes longer than that, `late` is called, and it is waited for all the same. */
async function within(work: Promise<void> | undefined, ms: number, late: () => void): Promise<void> {
  const timer = setTimeout(late, ms);
  await work;
  clearTimeout(timer);
}

function conclude(invocation: Invocation, end: RelayEnd): number {
  const code = exitCodeOf(end);
  const how = end.refused ?? end.end?.error?.message ?? endedHow(end);
  invocation.output.note(() =>
    [
      `${how} (session ${end.runId}, exit code ${code}, ${end.folder})`,
      ...(end.handedOver ? [] : [untold(end)]),
    ].join("\n"),
  );
  if (invocation.output.json)
    invocation.output.line({
      runId: end.runId,
      exitCode: code,
      handedOver: end.handedOver,
      folder: end.folder,
    });
  return code;
}

function endedHow({ end, result }: RelayEnd): string {
  if (result?.status === "failed") return firstLine(result.message ?? "Failed");
  if (end === undefined) return "Not started";
  const isStopped = end.reason === "canceled" || end.reason === "abandoned";
  if (!isStopped) return "Done";
  return end.tree?.empty === true
    ? "Stopped; nothing is left running"
    : "Stopped; some processes may still run";
}

function untold({ end, refused, folder }: RelayEnd): string {
  if (refused !== undefined) return "The edge refused the rest of the session.";
  return end === undefined
    ? "The edge went offline before anything was started."
    : `The edge is offline. ${kept(folder)}`;
}

function kept(folder: string): string {
  return `The rest is kept for a week. The next relay or runner agent here sends it, or codex-flow relay resume ${folder}`;
}

/** Control-C at a terminal that hands on every key. */
function interrupt(): void {
  process.kill(process.pid, "SIGINT");
}

/** What stands on standard input; undefined when a person sits there. */
async function standardInput(): Promise<string | undefined> {
  return process.stdin.isTTY ? undefined : await wholeText(process.stdin);
}
