/**
 * The codex and code-mode steps of the workspace: what each run of one would end with, said before there is any. Scripts
 * and schemas are read; models and prices are looked at with Codex itself, which is asked what it would use and no model.
 */
import { randomUUID } from "node:crypto";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import packageDescription from "../../package.json" with { type: "json" };
import { describeFault } from "../../catalog/fault.ts";
import { loadCatalog } from "../../catalog/load.ts";
import type { AppServer } from "../codex/app-server.ts";
import { isCodeModeOn } from "../codex/code-mode/gate.ts";
import { codexOnBox } from "../codex/codex-host.ts";
import { checkCodexSteps, type CheckedStep } from "../codex/step/package-check.ts";
import type { Box, Check, CheckState } from "./check.ts";
import { codexOf, homePlace } from "./codex.ts";
import { existingAbove } from "./disk.ts";

interface Problem {
  state: Exclude<CheckState, "ok">;
  found: string;
  fix: string;
}

/** Problems that are said whole; of more, how many. */
const SAID_MAX = 5;

export const codexStepsCheck: Check = {
  name: "codex steps",
  probe: async (box) => {
    const { packages } = await loadCatalog(box.workspace);
    const { steps, faults } = checkCodexSteps(packages);
    if (steps.length + faults.length === 0) return { state: "ok", found: "none in this workspace" };
    const broken = faults.map((fault): Problem => {
      const found = describeFault(fault, box.workspace);
      return { state: "missing", found, fix: `correct ${fault.file}` };
    });
    const problems = [
      ...broken,
      ...steps.flatMap((step) => refused(step, box)),
      ...(await asked(steps, box)),
    ];
    if (problems.length === 0) return { state: "ok", found: steps.map(({ name }) => name).join(", ") };
    const said = problems.slice(0, SAID_MAX);
    const more = problems.length > SAID_MAX ? [`and ${problems.length - SAID_MAX} more`] : [];
    return {
      state: problems.some(({ state }) => state === "missing") ? "missing" : "warn",
      found: [...said.map(({ found }) => found), ...more].join("; "),
      fix: [...new Set(said.map(({ fix }) => fix))].join("; "),
    };
  },
};

/** What the box does not let it do. */
function refused({ name, kind, sandbox }: CheckedStep, box: Box): Problem[] {
  const problems: Problem[] = [];
  if (sandbox === "danger-full-access" && !codexOf(box).allowDangerFullAccess)
    problems.push({
      state: "warn",
      found: `${name} asks for danger-full-access, which this box does not allow`,
      fix: "allow_danger_full_access = true under [codex] in runner.toml, if it shall",
    });
  if (kind === "code-mode" && !isCodeModeOn(box.environment))
    problems.push({
      state: "warn",
      found: `${name} is refused here: code mode is off`,
      fix: "CODEX_FLOWS_MODE=code-mode in the agent's environment, if it shall run",
    });
  return problems;
}

/** What only Codex knows; nothing where it cannot be asked, which other checks say. */
async function asked(steps: readonly CheckedStep[], box: Box): Promise<Problem[]> {
  const codex = steps.filter(({ kind }) => kind === "codex");
  if (codex.length === 0) return [];
  const config = codexOf(box);
  const home = join(existingAbove(homePlace(box)), `.codex-flow-doctor-${randomUUID()}`);
  const host = codexOnBox({
    config: { ...config, home },
    environment: box.environment,
    runnerId: "doctor",
    version: packageDescription.version,
  });
  try {
    const lease = await host.servers.lease().catch(() => undefined);
    if (lease === undefined) return [];
    try {
      return await problemsOf(codex, lease.server, Object.keys(config.prices));
    } finally {
      lease.release();
    }
  } finally {
    await host.stop();
    await rm(home, { recursive: true, force: true }).catch(() => undefined);
  }
}

async function problemsOf(
  steps: readonly CheckedStep[],
  server: AppServer,
  prices: readonly string[],
): Promise<Problem[]> {
  let known: Known;
  try {
    known = await knownBy(server);
  } catch (error) {
    const found = `Codex begins no thread here: ${error instanceof Error ? error.message : String(error)}`;
    return [{ state: "missing", found, fix: "correct [codex.config] in runner.toml" }];
  }
  return steps.flatMap(({ name, file, model = known.model, priced }) => {
    const problems: Problem[] = [];
    if (!known.models.includes(model))
      problems.push({
        // Of a provider of the owner's own, Codex knows no models.
        state: known.complete ? "missing" : "warn",
        found: `${name} wants the model ${model}, which Codex does not know: it knows ${known.models.join(", ")}`,
        fix: `correct model in ${file}, or under [codex.config] in runner.toml`,
      });
    if (priced && !prices.includes(model))
      problems.push({
        state: "missing",
        found: `${name} has a budget in usd, and this box knows no price of the model ${model}`,
        fix: `add [codex.prices.${JSON.stringify(model)}] to runner.toml, with input and output`,
      });
    return problems;
  });
}

interface Known {
  /** Of steps that name none. */
  model: string;
  models: string[];
  /** There are no others. */
  complete: boolean;
}

async function knownBy(server: AppServer): Promise<Known> {
  const [{ thread, model }, { data }, { config }] = await Promise.all([
    server.request("thread/start", { ephemeral: true, sandbox: "read-only" }),
    server.request("model/list", { includeHidden: true }),
    server.request("config/read", {}),
  ]);
  await server.request("thread/unsubscribe", { threadId: thread.id });
  const { model_provider: provider } = config;
  const catalog = "model_catalog_json" in config && config["model_catalog_json"] != null;
  return {
    model,
    models: data.map((each) => each.model),
    complete: catalog || provider === null || provider === "openai",
  };
}
