/**
 * The runner's own CODEX_HOME: what Codex is configured with, where it keeps its sessions, and the user's login in it.
 * No file of the user's own CODEX_HOME is changed, but for the one that both share on purpose: auth.json.
 *
 * H1. One login, not two that drift apart. Codex rewrites auth.json when it refreshes a token, and the old token is
 *     void from then on. It does so by writing a file beside it and renaming that: but beside the file that a symbolic
 *     link leads to, under its real name. So auth.json is a symbolic link, and both homes see every refresh. (A hard
 *     link would be cut by the rename, a copy would be out of date.) A login that the user keeps in the keyring of the
 *     system is found by the home's path, and so cannot be shared: `codex login` with this CODEX_HOME makes one.
 * H2. Safe without further settings: sandboxed to the checkout, nobody is asked, no update, no analytics, no plugins,
 *     no search of the web, nothing that goes on beside the turn or behind it (sub-agents, goals), and of the user's
 *     configuration only which model is asked, and where. Commands run in no login shell: what a profile exports is no
 *     variable that the box has passed, and nobody would redact it. The box's owner may say otherwise.
 * H3. It says nothing of checkouts, and Codex writes nothing of them into it: each thread is told whether its own is trusted
 *     (trust.ts).
 * H4. It lies nowhere that commands in a sandbox may write to: they could change their own rules. So not below
 *     a temporary directory.
 */
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { isAbsolute, join, resolve } from "node:path";
import { parse, stringify, TomlError, type TomlTable } from "smol-toml";
import { readTextFileSync } from "../../catalog/text-file.ts";
import { CodexError } from "./errors.ts";
import { isBelow, realpathOr } from "./trust.ts";

/** What of the user's configuration counts for steps, too: which model is asked, and where. */
const USER_KEYS = [
  "model",
  "model_provider",
  "model_providers",
  "model_reasoning_effort",
  "model_reasoning_summary",
  "model_verbosity",
  "model_context_window",
  "model_catalog_json",
  "openai_base_url",
  "chatgpt_base_url",
  "forced_login_method",
  "forced_chatgpt_workspace_id",
];

const SAFE: TomlTable = {
  sandbox_mode: "workspace-write",
  approval_policy: "never",
  allow_login_shell: false,
  web_search: "disabled",
  check_for_update_on_startup: false,
  analytics: { enabled: false },
  features: { plugins: false, apps: false, shell_snapshot: false, goals: false },
  // The feature of that name would not do: models that bring tools for it themselves, as most do, heed only this.
  agents: { enabled: false },
};

const OWNER_ONLY_DIRECTORY = 0o700;
const OWNER_ONLY_FILE = 0o600;

/** The home cannot be made or written, or what it is made from cannot be read. Somebody has to mend it. */
export class CodexHomeError extends CodexError {
  readonly code = "codex_home_unusable";
  readonly retryable = false;
}

export interface CodexHomeOptions {
  /** Of this runner alone; made when it is not there. */
  path: string;
  /** The user's own: CODEX_HOME, or `~/.codex`. It need not exist. */
  userHome: string;
  /** Keys of a config.toml that win over the user's and over the safe mode: the box owner's word. */
  config?: TomlTable;
}

export class CodexHome {
  readonly path: string;

  /** Makes it, or makes it anew: only sessions and what else Codex keeps stay. @throws CodexHomeError */
  constructor(options: CodexHomeOptions) {
    this.path = onDisk(options.path, () => {
      mkdirSync(options.path, { recursive: true, mode: OWNER_ONLY_DIRECTORY });
      return realpathSync(options.path);
    });
    for (const temporary of ["/tmp", tmpdir()])
      if (isBelow(realpathOr(temporary), this.path))
        throw new CodexHomeError(
          `${this.path} lies below ${temporary}, where commands in a sandbox may write: choose another directory`,
        );
    const config = homeConfig(readUserConfig(options.userHome), options.config ?? {});
    onDisk(this.path, () => {
      linkLogin(join(this.path, "auth.json"), join(realpathOr(options.userHome), "auth.json"));
      mkdirSync(this.temporary, { recursive: true, mode: OWNER_ONLY_DIRECTORY });
      // What a former life has left there.
      for (const name of readdirSync(this.temporary))
        rmSync(join(this.temporary, name), { recursive: true, force: true });
    });
    this.keep("config.toml", stringify(config));
  }

  /** For TMPDIR of Codex itself: it refuses a home below it, and commands may write to it. */
  get temporary(): string {
    return join(this.path, "commands-tmp");
  }

  /** What an app-server needs of its environment beside PATH and HOME. */
  get variables(): { CODEX_HOME: string; TMPDIR: string } {
    return { CODEX_HOME: this.path, TMPDIR: this.temporary };
  }

  /** A directory of its own for the temporary files of an attempt's commands. @param attempt its id @throws CodexHomeError */
  temporaryOf(attempt: string): string {
    const path = join(this.temporary, attempt);
    onDisk(path, () => mkdirSync(path, { recursive: true, mode: OWNER_ONLY_DIRECTORY }));
    return path;
  }

  /**
   * Nobody uses it any more. Never rejects: what cannot be removed (a disk that takes nothing, a folder that a command has
   * locked), the next life removes.
   */
  async removeTemporaryOf(attempt: string): Promise<void> {
    await rm(join(this.temporary, attempt), { recursive: true, force: true }).catch(() => undefined);
  }

  /** Keeps a file beside the configuration. Returns its path. @throws CodexHomeError */
  keep(name: string, text: string): string {
    const file = join(this.path, name);
    onDisk(file, () => {
      // Codex may read it at any time.
      writeFileSync(`${file}.new`, text, { mode: OWNER_ONLY_FILE });
      renameSync(`${file}.new`, file);
    });
    return file;
  }
}

/** What the disk refuses (full, read-only, somebody else's, a file in the way) is said with its place. @throws CodexHomeError */
function onDisk<Value>(place: string, act: () => Value): Value {
  try {
    return act();
  } catch (error) {
    if (!(error instanceof Error && "syscall" in error)) throw error;
    throw new CodexHomeError(`${place} cannot be made or written: ${error.message}`);
  }
}

/** The user's choice of model, made safe, then the box owner's word. Pure. */
export function homeConfig(user: TomlTable, owner: TomlTable): TomlTable {
  const chosen = Object.fromEntries(Object.entries(user).filter(([key]) => USER_KEYS.includes(key)));
  return merged(merged(chosen, SAFE), owner);
}

/** The same for the threads of an app-server that is not the agent's: its home's own choice of model stays. Pure. */
export function threadConfig(owner: TomlTable): TomlTable {
  return merged(SAFE, owner);
}

/** Tables key by key, everything else whole. */
function merged(below: TomlTable, above: TomlTable): TomlTable {
  const result = { ...below };
  for (const [key, value] of Object.entries(above)) {
    const under = result[key];
    result[key] = isTable(under) && isTable(value) ? merged(under, value) : value;
  }
  return result;
}

function isTable(value: TomlTable[string] | undefined): value is TomlTable {
  return typeof value === "object" && !Array.isArray(value) && !(value instanceof Date);
}

function readUserConfig(userHome: string): TomlTable {
  const file = join(userHome, "config.toml");
  try {
    const config = parse(readTextFileSync(file));
    const catalog = config["model_catalog_json"];
    // Codex reads it relative to the file that names it.
    return typeof catalog === "string" && !isAbsolute(catalog)
      ? { ...config, model_catalog_json: resolve(userHome, catalog) }
      : config;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return {};
    const why =
      error instanceof TomlError
        ? `line ${error.line}: ${error.message.split("\n", 1)[0] ?? ""}`
        : String(error);
    throw new CodexHomeError(`${file} cannot be read: ${why}`);
  }
}

/** A login of the home's own, made by `codex login`, stays. */
function linkLogin(link: string, target: string): void {
  const there = lstatSync(link, { throwIfNoEntry: false });
  if (there !== undefined && !there.isSymbolicLink()) return;
  if (there !== undefined && readlinkSync(link) === target) return;
  rmSync(link, { force: true });
  // It may lead nowhere: then nobody has logged in yet, and Codex says so.
  symlinkSync(target, link);
}
