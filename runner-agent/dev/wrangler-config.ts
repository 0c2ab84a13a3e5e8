/**
 * The configuration of a development edge: the project's own wrangler.toml with absolute paths, the compiled flows and the
 * generated secrets. It is derived again at each start, so that wrangler.toml stays the one source.
 */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parse } from "smol-toml";
import type { DevSecrets } from "./secrets.ts";

const OWNER_ONLY = 0o600;

export interface DevConfigOptions {
  /** Root of this project. */
  project: string;
  state: string;
  secrets: DevSecrets;
  /** More settings of the Worker, by their names in its environment. */
  settings?: Record<string, string>;
}

/** What is read of wrangler.toml; everything else is taken over as it stands. */
interface ProjectConfig {
  main: string;
  vars?: Record<string, string>;
  build?: unknown;
}

/** Writes `<state>/wrangler.json` and returns its path and that of the compiled catalog. */
export async function writeDevConfig(
  options: DevConfigOptions,
): Promise<{ config: string; catalog: string }> {
  const { project, state, secrets, settings = {} } = options;
  const text = await readFile(join(project, "wrangler.toml"), "utf8");
  // The catalog comes from CatalogWatch. wrangler's own build would stop the edge when a flow package is broken.
  const { build: _build, ...base } = parse(text) as unknown as ProjectConfig;
  const catalog = join(state, "catalog.js");
  const { admin, read, write, runner } = secrets.tokens;
  const derived = {
    ...base,
    main: join(project, base.main),
    alias: { "flow-catalog": catalog },
    vars: {
      ...base.vars,
      ADMIN_TOKENS: admin,
      READ_TOKENS: read,
      WRITE_TOKENS: write,
      RUNNER_TOKENS: runner,
      EVENT_SECRETS: secrets.eventSecret,
      WEBHOOK_SECRETS: secrets.webhookSecret,
      ...settings,
    },
  };
  const config = join(state, "wrangler.json");
  await writeFile(config, JSON.stringify(derived, null, 2), { mode: OWNER_ONLY });
  return { config, catalog };
}
