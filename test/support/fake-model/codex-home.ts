/** A CODEX_HOME whose only provider is the fake model: nothing in it reaches a network, and no login is needed. */
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "smol-toml";

/** Not below the system's temporary directory: Codex refuses to put helper programs there, and says so. */
const PARENT = "/var/tmp";
/** Calls tools one by one; the other one writes JavaScript that calls them. */
export const DIRECT_MODEL = "fake-direct";
export const CODE_MODE_MODEL = "fake-code-mode";
/** Brings the newer tools for sub-agents with it, as most real models do. */
export const AGENTS_MODEL = "fake-agents";

const MODEL = {
  supported_reasoning_levels: [{ effort: "low", description: "the only one" }],
  default_reasoning_level: "low",
  shell_type: "unified_exec",
  visibility: "list",
  supported_in_api: true,
  priority: 1,
  support_verbosity: false,
  default_reasoning_summary: "auto",
  supports_reasoning_summaries: true,
  apply_patch_tool_type: "freeform",
  truncation_policy: { mode: "tokens", limit: 10_000 },
  context_window: 200_000,
  experimental_supported_tools: [],
  base_instructions: "You are a fake.",
};

const CATALOG = {
  models: [
    { ...MODEL, slug: DIRECT_MODEL, display_name: "Fake" },
    { ...MODEL, slug: CODE_MODE_MODEL, display_name: "Fake in code mode", tool_mode: "code_mode_only" },
    { ...MODEL, slug: AGENTS_MODEL, display_name: "Fake with agents", multi_agent_version: "v2" },
  ],
};

/** Tables of a config.toml with which Codex asks this model; `url` as `FakeModel.url`. */
export function fakeModelConfig(url: string, catalog: string): Record<string, unknown> {
  return {
    model: DIRECT_MODEL,
    model_provider: "fake",
    model_catalog_json: catalog,
    approval_policy: "never",
    sandbox_mode: "workspace-write",
    check_for_update_on_startup: false,
    web_search: "disabled",
    model_providers: {
      fake: { name: "fake", base_url: url, request_max_retries: 2, stream_max_retries: 2 },
    },
    analytics: { enabled: false },
    features: { plugins: false, apps: false, shell_snapshot: false },
  };
}

/** Writes a home into a new folder, whose path it returns; `more` overrides tables of its config.toml. */
export function writeCodexHome(url: string, more: Record<string, unknown> = {}): string {
  const home = mkdtempSync(join(PARENT, "fake-codex-home-"));
  writeModelCatalog(home);
  writeFileSync(
    join(home, "config.toml"),
    stringify({ ...fakeModelConfig(url, join(home, "model-catalog.json")), ...more }),
  );
  return home;
}

/** Returns the path of the catalogue. */
export function writeModelCatalog(folder: string): string {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, "model-catalog.json");
  writeFileSync(path, JSON.stringify(CATALOG));
  return path;
}
