/** The four ways to relay, from flags to an exit code: a command, a review, several tasks, an earlier session. */
import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { text as wholeText } from "node:stream/consumers";
import { GuardClosedError } from "../../contract/errors.ts";
import type { RelayMode } from "../../contract/relay.ts";
import { agentLog } from "../log.ts";
import { agentOf } from "../relay/agents/agents.ts";
import { auditGuard, unavailable } from "../relay/guard-audit.ts";
import { cloneOf, commentOn, pullRequestOf, requireGh, reviewPrompt } from "../relay/pull-request.ts";
import { exitCodeOf, RELAY_EXIT, type RelayEnd } from "../relay/relay.ts";
import { relaySettings, type RelayFlags, type RelaySettings } from "../relay/relay-settings.ts";
import { relayAgain, relayCommand, type RelayHost } from "../relay/run-command.ts";
import type { SessionDisplay } from "../relay/session.ts";
import { readStream } from "../relay/stream-log.ts";
import { readTasks } from "../relay/tasks-file.ts";
import { missingToken } from "./configuration.ts";
import type { Invocation } from "./invocation.ts";
import { problemOf, UsageError } from "./problem.ts";
import { relayDisplay } from "./relay-display.ts";
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
const SILENT: SessionDisplay = { item: () => undefined, text: () => undefined };

export async function relayRun(
  invocation: Invocation,
  flags: RelayFlags,
  command: readonly string[],
): Promise<number> {
  const settings = await settingsOf(invocation, flags);
  return await withHost(invocation, async (host) => {
    const isText = agentOf(command).reader === undefined;
    const end = await relayCommand(
      settings,
      {
        mode: "run",
        command,
        stdin: standardInput,
        ...(isText ? { localInput: process.stdin } : {}),
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
  const settings = await settingsOf(invocation, flags);
  const stream = await readStream(resolve(folder));
  if (stream === undefined)
    throw new UsageError(`${folder} holds no session`, "name a relay's folder, with a stream.jsonl in it");
  return await withHost(invocation, async (host) =>
    conclude(invocation, await relayAgain(settings, stream, folder, host)),
  );
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
    const { folder, remove } = await cloneOf(request, host.stopped);
    try {
      const end = await relayCommand(
        { ...settings, workdir: folder, sessions: "new" },
        {
          mode: "review",
          command: REVIEW_COMMANDS[given.agent],
          stdin: async () => Promise.resolve(reviewPrompt(request, given.prompt)),
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
  const read = await readFile(file, "utf8").catch(() => undefined);
  if (read === undefined) throw new UsageError(`${file} cannot be read`, "name a file with a task a line");
  const tasks = await Promise.all(
    readTasks(read, given.file).map(async (task) => ({
      ...task,
      workdir: await existingFolder(resolve(dirname(file), task.directory)),
    })),
  );
  return await withHost(invocation, async (host) => {
    await precheck(settings, "parallel", host);
    // Lines of several agents between each other tell nobody anything: each has its run.
    const quiet = invocation.output.json ? host : { ...host, display: SILENT };
    const ends = await Promise.all(
      tasks.map(async ({ workdir, prompt, line, directory }) => {
        const task = `${given.file}:${line} ${directory}`;
        try {
          const end = await relayCommand(
            { ...settings, workdir, sessions: "new" },
            {
              mode: "parallel",
              command: AGENT_COMMANDS[given.agent],
              stdin: async () => Promise.resolve(prompt),
              title: prompt,
              worktree: given.worktree,
            },
            quiet,
          );
          return {
            task,
            runId: end.runId,
            code: exitCodeOf(end),
            message: end.result?.message ?? end.refused,
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
  return { ...settings, workdir: await existingFolder(settings.workdir) };
}

/** Before anything is cloned or made for it (R1). */
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

/** Runs with a connection and under signals; what is thrown before a session began is said, and is 125. */
async function withHost(invocation: Invocation, work: (host: RelayHost) => Promise<number>): Promise<number> {
  const { client, connection } = await invocation.connect("token");
  if (connection.token === undefined) throw missingToken(connection, false);
  const stop = new AbortController();
  const stopping = (): void => {
    stop.abort();
  };
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) process.on(signal, stopping);
  try {
    return await work({
      edge: { client, url: connection.url.value, token: connection.token.value },
      environment: invocation.host.environment,
      display: relayDisplay(invocation.output),
      say: agentLog(invocation.output.json),
      stopped: stop.signal,
    });
  } catch (error) {
    if (error instanceof UsageError) throw error;
    invocation.sayProblem(problemOf(error));
    return RELAY_EXIT.refused;
  } finally {
    for (const signal of signals) process.off(signal, stopping);
    process.stdin.destroy();
  }
}

function conclude(invocation: Invocation, end: RelayEnd): number {
  const code = exitCodeOf(end);
  const how = end.refused ?? end.end?.error?.message ?? end.end?.reason ?? "over";
  invocation.output.note(
    () =>
      `session ${end.runId}: ${how}${end.handedOver ? "" : "; the edge has not all of it"} (exit code ${code}, ${end.folder})`,
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

/** What stands on standard input; undefined when a person sits there. */
async function standardInput(): Promise<string | undefined> {
  return process.stdin.isTTY ? undefined : await wholeText(process.stdin);
}
