/**
 * The configuration of a development edge: the project's own wrangler.toml, with absolute paths, the workspace's
 * flows and the generated secrets. Derived anew at each start, so that there is one source.
 */
import { readFile, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { parse } from "smol-toml";
import { FLOW_ROOTS } from "../../catalog/discover.ts";
import type { DevSecrets } from "./secrets.ts";

const OWNER_ONLY = 0o600;

export interface DevConfigOptions {
  /** Root of this project. */
  project: string;
  state: string;
  workspace: string;
  secrets: DevSecrets;
  /** Settings of chats, by their names in the Worker's environment. */
  chats?: Record<string, string>;
}

/** What is read of wrangler.toml; everything else is taken over as it stands. */
interface ProjectConfig {
  main: string;
  vars?: Record<string, string>;
  build: { command: string; watch_dir: string[] };
}

/** Writes `<state>/wrangler.json` and returns its path and that of the compiled catalog. */
export async function writeDevConfig(
  options: DevConfigOptions,
): Promise<{ config: string; catalog: string }> {
  const { project, state, workspace, secrets, chats = {} } = options;
  const text = await readFile(join(project, "wrangler.toml"), "utf8");
  const base = parse(text) as unknown as ProjectConfig;
  const catalog = join(state, "catalog.js");
  const { admin, read, write, runner } = secrets.tokens;
  const derived = {
    ...base,
    main: join(project, base.main),
    alias: { "flow-catalog": catalog },
    build: {
      ...base.build,
      cwd: project,
      // wrangler takes them relative to the configuration, absolute ones too.
      watch_dir: [
        ...base.build.watch_dir.filter((folder) => folder !== "flows").map((folder) => join(project, folder)),
        ...FLOW_ROOTS.map((root) => join(workspace, root)),
      ].map((folder) => relative(state, folder)),
    },
    vars: {
      ...base.vars,
      ADMIN_TOKENS: admin,
      READ_TOKENS: read,
      WRITE_TOKENS: write,
      RUNNER_TOKENS: runner,
      EVENT_SECRETS: secrets.eventSecret,
      ...chats,
    },
  };
  const config = join(state, "wrangler.json");
  await writeFile(config, JSON.stringify(derived, null, 2), { mode: OWNER_ONLY });
  return { config, catalog };
}
