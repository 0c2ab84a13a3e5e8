/**
 * Codex on this box, as the runner's configuration says: its home, its app-server, the sessions that are known, the
 * rules. Nothing of it is made before the first codex step asks: a box without such steps needs no Codex. Owns the
 * app-server; `stop` ends it.
 */
import type { Sandbox } from "../../contract/codex-prompt.ts";
import { isAbsolute, join } from "node:path";
import type { TomlTable } from "smol-toml";
import type { CodexConfig, ModelPrice } from "../config/codex-config.ts";
import type { AgentLog } from "../log.ts";
import { BUILT_IN_VARIABLES, type Secret } from "../config/step-environment.ts";
import { connectAppServer, startAppServer, type AppServer } from "./app-server.ts";
import { boxFitness, type BoxFitness } from "./box-fitness.ts";
import { loginSecrets } from "./login-secrets.ts";
import { CodexHome, threadConfig } from "./home.ts";
import type { JsonValue } from "./protocol.ts";
import { NO_RAW_LOG, RawLogs, type RawLog } from "./raw-log.ts";
import { Sessions } from "./sessions.ts";
import { SharedServer } from "./shared-server.ts";
import { PROXY_VARIABLES } from "../proxy.ts";
import type { CodexRules } from "./step/step-plan.ts";
import { projectsOf } from "./trust.ts";

/** What of the agent's environment Codex itself needs, also to reach its model; CODEX_HOME is its own. */
const PASSED = [
  ...BUILT_IN_VARIABLES.filter((name) => !name.startsWith("CODEX_") && name !== "TMPDIR"),
  ...PROXY_VARIABLES,
];

/** What all steps of an agent that Codex works for share. */
export interface CodexHost {
  servers: SharedServer;
  sessions: Sessions;
  rules: CodexRules;
  /** By model. */
  prices: Readonly<Record<string, ModelPrice>>;
  /** Makes a directory one that Codex may work in, without trusting what lies in it. @throws CodexError */
  admit(directory: string, attempt: string): Admission;
  /** What was made for an attempt is nobody's any more: its processes are gone. */
  leave(attempt: string): void;
  /** A step's secrets, and the login that its commands may read from Codex's home or the user's (invariant 15). */
  secretsWith(own: readonly Secret[]): readonly Secret[];
  /** Where what Codex tells of an attempt is kept, word for word. */
  raw(attempt: string): RawLog;
  /** Whether its commands run on this machine, where they can be looked for. */
  here: boolean;
  /** Keeps a text as a file for Codex, where no command can write to it. Returns its path. @throws CodexError */
  keep(name: string, text: string): string;
  /**
   * Whether steps with that sandbox can run here at all; a login is of no matter to those that ask no model.
   * @throws CodexError that says why not
   */
  fit(server: AppServer, wants: { sandbox: Sandbox; model: boolean }): Promise<void>;
}

/** What comes from the box into each attempt. */
export interface Admission {
  /** Beside the step's own, for the commands. */
  variables: Record<string, string>;
  /** Of a config.toml, for each of the attempt's threads. */
  config: Record<string, JsonValue>;
}

export interface CodexOnBox extends CodexHost {
  /** A step is about to come: starts the app-server, and looks what the box is fit for. */
  warm(): void;
  stop(): Promise<void>;
}

export interface CodexOnBoxOptions {
  config: CodexConfig;
  /** The agent's own. */
  environment: Readonly<Record<string, string | undefined>>;
  /** Names this runner among those of one user. */
  runnerId: string;
  version: string;
  /** The file of the box's configuration, absolute; it need not exist. */
  configFile?: string | undefined;
  /** Folder of raw logs, absolute; absent: none are kept. */
  raw?: string | undefined;
  /** Absent where nobody reads it. */
  log?: AgentLog;
}

export function codexOnBox(given: CodexOnBoxOptions): CodexOnBox {
  const { config, environment, version } = given;
  const directory = config.home ?? join(stateDirectory(environment), given.runnerId, "codex-home");
  let home: CodexHome | undefined;
  const made = (): CodexHome =>
    (home ??= new CodexHome({
      path: directory,
      userHome: userCodexHome(environment),
      config: config.config as TomlTable,
    }));
  const owners = threadConfig(config.config as TomlTable) as Record<string, JsonValue>;
  const servers = new SharedServer(async (stopped) => {
    if (config.url !== undefined) return await connectAppServer(config.url, { version, stopped });
    const { path, variables } = made();
    const command = config.command ?? environment["CODEX_APP_SERVER_CODEX_COMMAND"];
    return await startAppServer({
      cwd: path,
      env: { ...chosen(environment, [...PASSED, ...config.env]), ...variables },
      version,
      stopped,
      ...(command === undefined ? {} : { command }),
    });
  });
  const raws = given.raw === undefined ? undefined : new RawLogs(given.raw);
  const fitness = new WeakMap<AppServer, Promise<BoxFitness>>();
  const fitnessOf = (server: AppServer): Promise<BoxFitness> => {
    const known = fitness.get(server) ?? boxFitness(server);
    fitness.set(server, known);
    // Not found out: the next step asks again.
    known.catch(() => fitness.delete(server));
    return known;
  };
  let sessions: Sessions | undefined;
  return {
    warm: () => {
      servers.warm((server) => {
        // Whoever needs to know asks again.
        fitnessOf(server).catch(() => undefined);
      });
    },
    servers,
    get sessions() {
      return (sessions ??= new Sessions(join(made().path, "codex-flow-sessions.json"), (why) => {
        given.log?.("warn", `which thread goes on where is only remembered until the agent ends: ${why}`);
      }));
    },
    rules: {
      allowDangerFullAccess: config.allowDangerFullAccess,
      closed: [
        directory,
        ...["config.toml", "auth.json"].map((name) => join(userCodexHome(environment), name)),
        ...(given.configFile === undefined ? [] : [given.configFile]),
      ],
    },
    prices: config.prices,
    here: config.url === undefined || isOnThisMachine(config.url),
    admit: (directory, attempt) => {
      const projects = projectsOf(directory, config.trusted);
      if (config.url === undefined)
        return { variables: { TMPDIR: made().temporaryOf(attempt) }, config: { projects } };
      // Its own temporary directory is not known here; this one is open in every sandbox that may write.
      return { variables: { TMPDIR: "/tmp" }, config: { ...owners, projects } };
    },
    leave: (attempt) => {
      // Without a home nothing was made. It may be large, and nobody waits for it.
      if (config.url === undefined) void home?.removeTemporaryOf(attempt);
    },
    secretsWith: loginSecrets([directory, userCodexHome(environment)].map((of) => join(of, "auth.json"))),
    raw: (attempt) => raws?.begin(attempt) ?? NO_RAW_LOG,
    keep: (name, text) => made().keep(name, text),
    fit: async (server, { sandbox, model }) => {
      const { login, sandbox: unavailable } = await fitnessOf(server);
      const fault =
        (model ? login : undefined) ?? (sandbox === "danger-full-access" ? undefined : unavailable);
      if (fault !== undefined) throw fault;
    },
    stop: () => servers.stop(),
  };
}

/** Whether an app-server of that address, and what it starts, can only be on this machine. */
export function isOnThisMachine(url: string): boolean {
  const { protocol, hostname } = new URL(url);
  return protocol === "unix:" || /^(localhost|127(\.\d+){3}|\[::1\])$/.test(hostname);
}

/** Where programs of a user keep what is neither configuration nor cache; never a temporary directory. */
export function stateDirectory(environment: Readonly<Record<string, string | undefined>>): string {
  const state = environment["XDG_STATE_HOME"] ?? "";
  // One that is empty or relative counts as none, as the XDG specification says.
  const base = isAbsolute(state) ? state : join(environment["HOME"] ?? "/var/lib", ".local", "state");
  return join(base, "codex-flow");
}

/** The user's own CODEX_HOME, whose login and choice of model count. An empty one is none, as it is to Codex. */
export function userCodexHome(environment: Readonly<Record<string, string | undefined>>): string {
  const named = environment["CODEX_HOME"] ?? "";
  return named === "" ? join(environment["HOME"] ?? "/", ".codex") : named;
}

function chosen(
  environment: Readonly<Record<string, string | undefined>>,
  names: readonly string[],
): Record<string, string> {
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = environment[name];
      return value === undefined ? [] : [[name, value]];
    }),
  );
}
