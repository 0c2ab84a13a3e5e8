/** Runs real steps for the tests: a package in a directory of its own, one script, and all that it told. */
import { randomUUID } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { FlowResult } from "../../contract/flow-result.ts";
import { resolveManifest, type RunnerKind } from "../../contract/flow-manifest.ts";
import { eventKey, runId } from "../../contract/ids.ts";
import type { AttemptEnd } from "../../contract/run-record.ts";
import type { OutputStream } from "../../contract/runner-link.ts";
import type { Secret } from "../../runner-agent/config/step-environment.ts";
import { DEFAULT_CLOCKS, type StepClocks } from "../../runner-agent/steps/clocks.ts";
import { startStep } from "../../runner-agent/steps/start-step.ts";
import type { RunningStep, StepEvents, StepRequest } from "../../runner-agent/steps/step.ts";

/** Short, so that what ends badly ends soon. */
export const SHORT: StepClocks = { ...DEFAULT_CLOCKS, resultGraceMs: 150, killGraceMs: 150 };

export interface StepOptions {
  runner?: RunnerKind;
  script?: string;
  timeout_ms?: number;
  silence_ms?: number;
  cwd?: string;
  result?: "anywhere";
  config?: Record<string, unknown>;
  event?: Record<string, unknown>;
  secrets?: Secret[];
  variables?: Record<string, string>;
  attempt?: number;
  runId?: string;
  clocks?: StepClocks;
  /** Beside the script. */
  files?: Record<string, string>;
  events?: Partial<StepEvents>;
  /** False: what was told is forgotten, for a step that tells very much. */
  keep?: boolean;
}

export interface ToldStep {
  request: StepRequest;
  step: RunningStep;
  told: Array<{ kind: OutputStream | "result" | "signalled"; text: string; value?: unknown }>;
  results: FlowResult[];
  signalled: number[][];
  /** All that came on a stream so far. */
  text(stream: OutputStream): string;
  /** Resolves as soon as a stream has said this. */
  says(stream: OutputStream, text: string): Promise<void>;
}

const directories: string[] = [];

/** For `afterAll`. */
export function removePackages(): void {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true });
}

export function packageWith(files: Record<string, string>): string {
  const root = mkdtempSync(join(tmpdir(), "flow-step-"));
  directories.push(root);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return root;
}

export async function freshRunId(): Promise<string> {
  return runId(await eventKey(randomUUID()), 1);
}

export async function requestFor(source: string, options: StepOptions = {}): Promise<StepRequest> {
  const script = options.script ?? "exec/step.mjs";
  const root = packageWith({ [script]: source, ...options.files });
  const { runner = "node", timeout_ms = 20_000, silence_ms = 20_000, cwd, result } = options;
  const step = {
    ...{ name: "try", runner, script, timeout_ms, silence_ms },
    ...(cwd === undefined ? {} : { cwd }),
    ...(result === undefined ? {} : { result }),
  };
  const [flowStep] = resolveManifest({ name: "probe", version: 3, steps: [step] }, "digest").steps;
  if (flowStep === undefined) throw new Error("the manifest has lost its step");
  return {
    runId: options.runId ?? (await freshRunId()),
    attempt: options.attempt ?? 1,
    flow: {
      name: "probe",
      version: 3,
      root,
      ...(options.config === undefined ? {} : { config: options.config }),
    },
    step: flowStep,
    event: { id: "e:1", type: "t.probe", receivedAt: "2026-01-01T00:00:00Z", payload: {}, ...options.event },
    replay: false,
    edgeUrl: "https://edge.example",
    env: {
      variables: { PATH: process.env["PATH"] ?? "", ...options.variables },
      secrets: options.secrets ?? [],
    },
  };
}

export async function launch(source: string, options: StepOptions = {}): Promise<ToldStep> {
  return launchRequest(await requestFor(source, options), options);
}

export function launchRequest(request: StepRequest, options: StepOptions = {}): ToldStep {
  const told: ToldStep["told"] = [];
  const waiting = new Set<() => void>();
  const tell = (entry: ToldStep["told"][number]): void => {
    if (options.keep !== false) told.push(entry);
    for (const look of waiting) look();
  };
  const results: FlowResult[] = [];
  const signalled: number[][] = [];
  const step = startStep(
    request,
    {
      output: (stream, text) => {
        tell({ kind: stream, text });
        options.events?.output?.(stream, text);
      },
      result: (result) => {
        results.push(result);
        tell({ kind: "result", text: result.status });
      },
      signalled: (survivors) => {
        signalled.push(survivors);
        tell({ kind: "signalled", text: survivors.join(" ") });
      },
    },
    options.clocks ?? SHORT,
  );
  const text = (stream: OutputStream): string =>
    told.flatMap((entry) => (entry.kind === stream ? [entry.text] : [])).join("");
  return {
    request,
    step,
    told,
    results,
    signalled,
    text,
    says: async (stream, wanted) => {
      await new Promise<void>((resolve) => {
        const look = (): void => {
          if (!text(stream).includes(wanted)) return;
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
        look();
      });
    },
  };
}

/** Runs a step to its end. */
export async function run(
  source: string,
  options: StepOptions = {},
): Promise<ToldStep & { end: AttemptEnd }> {
  const launched = await launch(source, options);
  return { ...launched, end: await launched.step.ended };
}
