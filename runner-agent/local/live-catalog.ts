/**
 * The flow packages of a workspace as they are now, ready to be matched: read anew for every event, so that an edit
 * counts at the next one. Schemas are compiled as the build compiles them for the edge. A broken package is left out
 * and its faults stand beside the others.
 */
import { describeFault } from "../../catalog/fault.ts";
import { loadCatalog, type LoadedPackage } from "../../catalog/load.ts";
import { compileTrigger } from "../../catalog/trigger-schema.ts";
import { NotFoundError } from "../../contract/errors.ts";
import type { FlowEvent } from "../../contract/flow-event.ts";
import type { FlowStep } from "../../contract/flow-manifest.ts";
import {
  matchEvent,
  stepKey,
  type PayloadCheck,
  type StepFilter,
  type StepMiss,
} from "../../contract/matching.ts";
import { faultsOf } from "../../contract/validate.ts";

export interface LocalMatch {
  loaded: LoadedPackage;
  step: FlowStep;
}

/** Where packages are looked for; `roots` as loadCatalog has them. */
export interface FlowFolder {
  cwd: string;
  roots?: readonly string[] | undefined;
}

export interface LocalMatches {
  matches: LocalMatch[];
  misses: StepMiss[];
  /** Of broken packages, one a line: "file:line:column key message". */
  faults: string[];
}

/** The steps that an event starts, and why others that wait for its type do not. */
export async function matchLive(
  { cwd, roots }: FlowFolder,
  event: FlowEvent,
  only: StepFilter = {},
): Promise<LocalMatches> {
  const { packages, faults } = await loadCatalog(cwd, roots);
  const flows = packages.map(({ flow }) => flow);
  const { matches, misses } = matchEvent(event, { flows, checks: checksFor(event.type, packages) }, only);
  return {
    matches: matches.flatMap(({ flow, step }) => {
      const loaded = packages.find((candidate) => candidate.flow === flow);
      return loaded === undefined ? [] : [{ loaded, step }];
    }),
    misses,
    faults: faults.map((fault) => describeFault(fault, cwd)),
  };
}

/** Only what may be asked is compiled. */
function checksFor(type: string, packages: LoadedPackage[]): Partial<Record<string, PayloadCheck>> {
  const checks: Partial<Record<string, PayloadCheck>> = {};
  for (const { flow, schemas } of packages)
    for (const step of flow.steps) {
      const schema = step.trigger?.type === type ? schemas[step.name]?.compilable : undefined;
      if (schema === undefined) continue;
      const check = compileTrigger(schema);
      checks[stepKey(flow.name, step.name)] = (payload) => faultsOf(check, payload, "/payload");
    }
  return checks;
}

/** A step by its name, whatever triggers it. Throws NotFoundError, which lists what is there. */
export async function findStep(
  { cwd, roots }: FlowFolder,
  flowName: string,
  stepName: string,
): Promise<LocalMatch> {
  const { packages, faults } = await loadCatalog(cwd, roots);
  const loaded = packages.find(({ flow }) => flow.name === flowName);
  const step = loaded?.flow.steps.find(({ name }) => name === stepName);
  if (loaded !== undefined && step !== undefined) return { loaded, step };
  // The one that is asked for may be the one that is broken.
  const broken = faults.map((fault) => ({
    path: describeFault(fault, cwd),
    message: "(this package is not used)",
  }));
  if (loaded === undefined)
    throw new NotFoundError(
      "flow_not_found",
      `Unknown flow: ${flowName}; ${known(
        packages.map(({ flow }) => flow.name),
        `in ${cwd}`,
      )}`,
      broken,
    );
  throw new NotFoundError(
    "step_not_found",
    `Unknown step ${stepName} in flow ${flowName}; ${known(
      loaded.flow.steps.map(({ name }) => name),
      "in it",
    )}`,
    broken,
  );
}

function known(names: string[], where: string): string {
  return names.length === 0 ? `there is none ${where}` : `known ${where}: ${names.join(", ")}`;
}
