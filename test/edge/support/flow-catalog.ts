/**
 * The flows of the Worker under test. Schemas are checked by hand here, in the form of ajv's compiled functions; that
 * the real compiled ones work in workerd is shown by the stories in test/e2e.
 */
import type { Flow, FlowStep, PackageFile } from "../../../contract/flow-manifest.ts";
import type { CompiledCheck } from "../../../contract/validate.ts";

function step(name: string, type: string, more: Partial<FlowStep> = {}): FlowStep {
  return {
    name,
    runner: "bun",
    script: `exec/${name}.ts`,
    pool: "default",
    labels: [],
    priority: 0,
    timeoutMs: 60_000,
    silenceMs: 60_000,
    queueMs: 3_600_000,
    retry: { attempts: 1, on: ["lost", "timeout"], backoffMs: 1 },
    trigger: { type },
    ...more,
  };
}

export const flows: Flow[] = [
  {
    name: "release",
    version: 1,
    digest: "sha256:release",
    steps: [step("rebase", "upstream.release"), step("notify", "upstream.release", { pool: "other" })],
  },
  {
    name: "lab",
    version: 2,
    digest: "sha256:lab",
    steps: [
      step("one", "lab.one"),
      step("retry", "lab.retry", { retry: { attempts: 3, on: ["lost", "timeout", "failed"], backoffMs: 1 } }),
      step("keyed", "lab.keyed", { concurrency: { key: "{{payload.repo}}", limit: 1 } }),
      step("labelled", "lab.labelled", { labels: ["gpu"] }),
      step("hasty", "lab.hasty", { queueMs: 1 }),
      step("picky", "lab.picky"),
    ],
  },
];

/** The lab alone has a list of files. */
export const packageFiles: Record<string, PackageFile[]> = {
  lab: [{ path: "flow.toml", hash: "0123456789abcdef" }],
};

const requiresTag: CompiledCheck = (payload) => {
  const valid =
    payload !== null && typeof payload === "object" && "tag" in payload && typeof payload.tag === "string";
  requiresTag.errors = valid
    ? null
    : [{ instancePath: "", keyword: "required", message: "is required", params: { missingProperty: "tag" } }];
  return valid;
};

export const validators: Record<string, CompiledCheck> = {
  "release/rebase": requiresTag,
  "lab/picky": requiresTag,
};

let deployed = 0;

/** A step that only one test knows, with an event type and a pool of its own, so that no test meets another's runs. */
export function deployStep(more: Partial<FlowStep> = {}): { name: string; type: string; pool: string } {
  deployed += 1;
  const name = `own${deployed}`;
  const own = { name, type: more.trigger?.type ?? `own.${deployed}`, pool: more.pool ?? `pool${deployed}` };
  flows[1]?.steps.push(step(name, own.type, { ...more, pool: own.pool }));
  return own;
}
