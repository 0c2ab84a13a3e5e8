/**
 * Codex on this box: the program, the app-server that is to be used, the runner's own home, the login that it finds
 * there, and whether the sandbox holds. A workspace without codex steps needs none of it, so there what is missing is a
 * warning, unless the owner has asked for it in runner.toml.
 *
 * The home of the agent is not touched: home, login and sandbox are looked at in one that is made beside it by the
 * same rules (home.ts), and taken away again.
 */
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { parse, type TomlTable } from "smol-toml";
import packageDescription from "../../package.json" with { type: "json" };
import type { StepKind } from "../../contract/flow-manifest.ts";
import { connectAppServer } from "../codex/app-server.ts";
import { boxFitness } from "../codex/box-fitness.ts";
import { isCodeModeOn } from "../codex/code-mode/gate.ts";
import { stateDirectory, userCodexHome } from "../codex/codex-host.ts";
import { CodexHome } from "../codex/home.ts";
import { codexConfig, type CodexConfig } from "../config/codex-config.ts";
import { wordsOf, type Box, type Check, type Finding } from "./check.ts";
import { existingAbove } from "./disk.ts";
import { ask, failure, versionIn } from "./programs.ts";
import { missingVersion } from "./versions.ts";

/** The Codex whose protocol this agent is built for. */
const SUPPORTED_VERSION = packageDescription.dependencies["@openai/codex"];
const CODEX_KINDS = ["codex", "code-mode"] as const;
const NOT_RUN = "not tried: the program cannot be run";
const NO_HOME = "not tried: the home cannot be made";

export const codexCheck: Check = {
  name: "codex",
  probe: async (box) => {
    const { url, command } = codexOf(box);
    if (url !== undefined) return elsewhere(url);
    const answer = await ask(box, box.programs.codex, ["--version"]);
    if (answer.exitCode !== 0)
      return {
        ...costs(command !== undefined, CODEX_KINDS),
        found: failure(box.programs.codex, answer),
        fix: "steps that use Codex cannot run: npm install in the project (with its optional packages), or name a program in CODEX_APP_SERVER_CODEX_COMMAND or by command under [codex] in runner.toml",
      };
    const found = versionIn(answer);
    return release(found) === release(SUPPORTED_VERSION)
      ? { state: "ok", found }
      : {
          state: "warn",
          found: `${found}, ${missingVersion(found, SUPPORTED_VERSION) ? "older" : "newer"} than the ${SUPPORTED_VERSION} that this agent is made for`,
          fix: `what it says may be misunderstood: use ${SUPPORTED_VERSION}, which npm install in the project brings`,
        };
  },
};

/** "0.169" of "0.169.2": what a patch changes is no matter of the protocol. */
function release(version: string): string {
  return version.split(".", 2).join(".");
}

export const codexServerCheck: Check = {
  name: "codex app-server",
  probe: async (box) => {
    const { url } = codexOf(box);
    if (url === undefined) return { state: "ok", found: "the agent starts one of its own" };
    try {
      const server = await connectAppServer(url, { version: packageDescription.version });
      await server.stop();
      return { state: "ok", found: `${url} answers` };
    } catch (error) {
      return {
        state: "missing",
        found: wordsOf(error),
        fix: `start it (codex app-server --listen ${url}), or take url out of [codex] in runner.toml: then the agent starts one of its own`,
      };
    }
  },
};

export const codexHomeCheck: Check = {
  name: "codex home",
  probe: async (box) => {
    const { home } = codexOf(box);
    const place = homePlace(box);
    try {
      return await withHome(box, () => ({ state: "ok", found: `${place} can be used` }));
    } catch (error) {
      return {
        ...costs(home !== undefined, CODEX_KINDS),
        found: `${place} cannot be used: ${wordsOf(error)}`,
        fix: "name a directory of the agent's user by home under [codex] in runner.toml: not below a temporary one, where steps may write; or mend the file that is named",
      };
    }
  },
};

export const codexLoginCheck: Check = {
  name: "codex login",
  probe: async (box) => {
    const { url, home, env } = codexOf(box);
    if (url !== undefined) return await fitnessFinding(box, "login");
    return await withHome(box, async (made) => {
      const provider = keyedProvider(parse(await readFile(join(made.path, "config.toml"), "utf8")));
      if (provider !== undefined) return providerFinding(provider, env, box.environment);
      // Somebody may have logged in to the runner's own home: that login stays there (home.ts, H1).
      const own = home !== undefined && box.canRead(join(home, "auth.json")) ? home : made.path;
      const answer = await ask(box, box.programs.codex, ["login", "status"], { CODEX_HOME: own });
      if (answer.unstarted) return { state: "warn", found: NOT_RUN };
      if (answer.exitCode === 0) return { state: "ok", found: loginIn(`${answer.stdout}\n${answer.stderr}`) };
      return {
        ...costs(false, ["codex"]),
        found: `nobody has logged in at ${userCodexHome(box.environment)}`,
        fix: "codex login as the agent's user, or name another model_provider in that folder's config.toml or under [codex.config] in runner.toml",
      };
    }).catch((): Finding => ({ state: "warn", found: NO_HOME }));
  },
};

/** In words of our own: Codex's name a part of the key. Whether it still counts is only known once it is used. */
function loginIn(said: string): string {
  if (/api key/i.test(said)) return "by an API key";
  return /chatgpt/i.test(said) ? "by ChatGPT" : "there is one";
}

/** A provider that takes no login, and the variable with its key, if it wants one. */
function keyedProvider(config: TomlTable): { name: string; variable: string | undefined } | undefined {
  const { model_provider: name, model_providers: providers } = config;
  if (typeof name !== "string" || !isTable(providers)) return undefined;
  const provider = providers[name];
  if (!isTable(provider) || provider["requires_openai_auth"] === true) return undefined;
  const { env_key: variable } = provider;
  return { name, variable: typeof variable === "string" ? variable : undefined };
}

function isTable(value: TomlTable[string] | undefined): value is TomlTable {
  return typeof value === "object" && !Array.isArray(value) && !(value instanceof Date);
}

function providerFinding(
  { name, variable }: { name: string; variable: string | undefined },
  passed: readonly string[],
  environment: Box["environment"],
): Finding {
  if (variable === undefined) return { state: "ok", found: `the provider ${name} asks for none` };
  const wants = `the provider ${name} takes its key from ${variable}`;
  if (!passed.includes(variable))
    return {
      ...costs(false, ["codex"]),
      found: `${wants}, which Codex does not get`,
      fix: `env = ["${variable}"] under [codex] in runner.toml`,
    };
  return (environment[variable] ?? "") === ""
    ? {
        ...costs(false, ["codex"]),
        found: `${wants}, which is not set here`,
        fix: "set it where the agent is started",
      }
    : { state: "ok", found: wants };
}

/** By commands in it: one that must run, and one that must not be able to write. */
export const codexSandboxCheck: Check = {
  name: "codex sandbox",
  probe: async (box) => {
    const { url, allowDangerFullAccess } = codexOf(box);
    if (url !== undefined) return await fitnessFinding(box, "sandbox");
    return await withHome(box, async ({ path, variables }) => {
      const sandboxed = (...command: string[]) =>
        ask(
          box,
          box.programs.codex,
          ["sandbox", "-c", 'sandbox_mode="read-only"', "--", ...command],
          variables,
        );
      const runs = await sandboxed("true");
      if (runs.unstarted) return { state: "warn", found: NOT_RUN };
      if (runs.exitCode !== 0)
        return {
          // Where steps may go without, whether one does not is its own to say.
          ...(allowDangerFullAccess ? { state: "warn" as const } : costs(false, CODEX_KINDS)),
          found: `commands cannot run in it: ${failure(["codex sandbox"], runs)}`,
          fix: "allow user namespaces (sysctl kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0). In a container that is the border itself: allow_danger_full_access = true under [codex], and steps that ask for it",
        };
      const forbidden = join(path, "forbidden");
      const writes = await sandboxed("sh", "-c", 'echo x > "$0"', forbidden);
      return writes.exitCode === 0 || existsSync(forbidden)
        ? {
            state: "missing",
            found: "it lets commands write where they must not",
            fix: "use the Codex of this project, and see that command under [codex] names no wrapper that leaves the sandbox out",
          }
        : { state: "ok", found: "commands run in it, and cannot write where they must not" };
    }).catch((): Finding => ({ state: "warn", found: NO_HOME }));
  },
};

/** Whether steps of the kind code-mode run here: it is the owner's word, and needs no login. */
export const codeModeCheck: Check = {
  name: "code mode",
  probe: async (box) => {
    if (!isCodeModeOn(box.environment))
      return { state: "ok", found: "off: CODEX_FLOWS_MODE=code-mode in the agent's environment turns it on" };
    const { url, allowDangerFullAccess } = codexOf(box);
    const sandbox = allowDangerFullAccess ? "any sandbox" : "a sandbox, never without one";
    if (url !== undefined) return { state: "ok", found: `on, in ${sandbox}; by the app-server at ${url}` };
    return await withHome(box, async ({ variables }) => {
      const answer = await ask(box, box.programs.codex, ["features", "list"], variables);
      if (answer.exitCode !== 0)
        return {
          state: "missing",
          found: `on, but ${failure(box.programs.codex, answer)}`,
          fix: "see the line of codex above; or take CODEX_FLOWS_MODE and CODEX_FLOWS_ENABLE_CODE_MODE out of the agent's environment",
        };
      return /^code_mode/m.test(answer.stdout)
        ? { state: "ok", found: `on, and possible: in ${sandbox}` }
        : {
            state: "missing",
            found: "on, but this Codex has no code mode",
            fix: `use ${SUPPORTED_VERSION}, which npm install in the project brings`,
          };
    }).catch((): Finding => ({ state: "warn", found: NO_HOME }));
  },
};

/** Missing: whoever has asked for it, or has steps of those kinds, cannot do without. */
function costs(asked: boolean, kinds: readonly StepKind[]): Pick<Finding, "state" | "onlyFor"> {
  return { state: "missing", ...(asked ? {} : { onlyFor: kinds }) };
}

/** Of an app-server that is not the agent's: as a step would find it. */
async function fitnessFinding(box: Box, about: "login" | "sandbox"): Promise<Finding> {
  const { url = "" } = codexOf(box);
  try {
    const server = await connectAppServer(url, { version: packageDescription.version });
    const fault = (await boxFitness(server).finally(() => server.stop()))[about];
    if (fault === undefined)
      return { state: "ok", found: `steps use the app-server at ${url}, which is fit` };
    return {
      ...costs(true, []),
      found: `of the app-server at ${url}: ${fault.message}`,
      fix: "mend it where that app-server runs",
    };
  } catch {
    return { state: "warn", found: `not tried: the app-server at ${url} does not answer` };
  }
}

export function codexOf({ config }: Box): CodexConfig {
  return "value" in config ? config.value.codex : codexConfig();
}

function elsewhere(url: string): Finding {
  return { state: "ok", found: `not looked at: steps use the app-server at ${url}` };
}

/** Where the agent's home is, or will be: below it, when only the agent knows its own id. */
export function homePlace(box: Box): string {
  return codexOf(box).home ?? stateDirectory(box.environment);
}

/** A home in the same place, by the same rules; gone when `use` is done. @throws Error when none can be made */
async function withHome(box: Box, use: (home: CodexHome) => Finding | Promise<Finding>): Promise<Finding> {
  const { config } = codexOf(box);
  const path = join(existingAbove(homePlace(box)), `.codex-flow-doctor-${randomUUID()}`);
  try {
    const userHome = userCodexHome(box.environment);
    return await use(new CodexHome({ path, userHome, config: config as TomlTable }));
  } finally {
    await rm(path, { recursive: true, force: true }).catch(() => undefined);
  }
}
