/** flow.toml: what a flow package says about itself. Compatible with the ancestor's; unknown keys are refused. */
import Type, { type Static } from "typebox";
import { Budget } from "./budget.ts";
import {
  CLOCK_MAX_MS,
  PACKAGE_GLOB_MAX_CHARS,
  PACKAGE_GLOBS_MAX,
  QUEUE_DEFAULT_MS,
  RETRY_BACKOFF_DEFAULT_MS,
  RETRY_BACKOFF_MAX_MS,
  RETRY_MAX_ATTEMPTS,
  SILENCE_DEFAULT_MS,
  TIMEOUT_DEFAULT_MS,
} from "./limits.ts";

export const RUNNER_KINDS = ["bun", "node", "codex", "code-mode"] as const;
export type RunnerKind = (typeof RUNNER_KINDS)[number];
/**
 * Kind of a step as a run keeps it: what a package may ask for, and `relay`, a session that a relay has begun by itself
 * (contract/relay.ts).
 */
export type StepKind = RunnerKind | "relay";
export const RETRY_REASONS = ["lost", "timeout", "failed"] as const;
export type RetryReason = (typeof RETRY_REASONS)[number];

const closed = { additionalProperties: false } as const;
const Name = Type.String({ pattern: "^[a-z0-9][a-z0-9_-]{0,63}$", description: "a-z 0-9 - _" });
const Label = Type.String({ pattern: "^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$" });
const PackagePath = Type.String({
  minLength: 1,
  pattern: "^(?!/)(?!(?:.*/)?\\.\\.(?:/|$)).+$",
  description: "A path inside the package, from the folder of flow.toml on, without .. and a leading /",
});
const Template = Type.String({ minLength: 1, maxLength: 512 });
const WORKTREE_NEEDS_MAX_ITEMS = 8;
/** A word, or a table for a worktree of something else than the default. */
const Workspace = Type.Unsafe<
  "shared" | "worktree" | { mode?: "worktree"; repo?: string; ref?: string; needs?: string[] }
>({
  type: ["string", "object"],
  pattern: "^(shared|worktree)$",
  description: "shared, worktree, or a table for a worktree",
  properties: {
    mode: Type.Enum(["worktree"]),
    repo: Template,
    ref: Template,
    needs: Type.Array(Template, { maxItems: WORKTREE_NEEDS_MAX_ITEMS }),
  },
  additionalProperties: false,
});
const ClockMs = Type.Integer({ minimum: 1, maximum: CLOCK_MAX_MS });

const StepManifest = Type.Object(
  {
    name: Name,
    runner: Type.Enum([...RUNNER_KINDS]),
    script: PackagePath,
    timeout_ms: Type.Optional(ClockMs),
    silence_ms: Type.Optional(ClockMs),
    queue_ms: Type.Optional(ClockMs),
    cwd: Type.Optional(
      Type.String({ minLength: 1, description: "Relative to the flow's root, or to the worktree's" }),
    ),
    project: Type.Optional(Template),
    workdir: Type.Optional(Template),
    workspace: Type.Optional(Workspace),
    pool: Type.Optional(Name),
    labels: Type.Optional(Type.Array(Label, { maxItems: 32 })),
    priority: Type.Optional(Type.Integer({ minimum: -100, maximum: 100 })),
    trigger: Type.Optional(
      Type.Object(
        { type: Type.String({ minLength: 1, maxLength: 128 }), schema: Type.Optional(PackagePath) },
        closed,
      ),
    ),
    concurrency: Type.Optional(
      Type.Object(
        {
          key: Type.String({
            minLength: 1,
            maxLength: 512,
            description: "Template over the event: {{payload.repo}}",
          }),
          limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000 })),
        },
        closed,
      ),
    ),
    retry: Type.Optional(
      Type.Object(
        {
          attempts: Type.Optional(Type.Integer({ minimum: 1, maximum: RETRY_MAX_ATTEMPTS })),
          on: Type.Optional(Type.Array(Type.Enum([...RETRY_REASONS]), { uniqueItems: true })),
          backoff_ms: Type.Optional(Type.Integer({ minimum: 0, maximum: RETRY_BACKOFF_MAX_MS })),
        },
        closed,
      ),
    ),
    budget: Type.Optional(Budget),
    result: Type.Optional(
      Type.Enum(["anywhere"], { description: "FLOW_RESULT counts anywhere in a line of standard output" }),
    ),
  },
  closed,
);

export const FlowManifest = Type.Object(
  {
    name: Name,
    version: Type.Number(),
    description: Type.Optional(Type.String()),
    config: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
    guidance: Type.Optional(Type.Object({ skills: Type.Optional(Type.Array(Type.String())) }, closed)),
    files: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: PACKAGE_GLOB_MAX_CHARS }), {
        minItems: 1,
        maxItems: PACKAGE_GLOBS_MAX,
      }),
    ),
    steps: Type.Array(StepManifest, { minItems: 1, maxItems: 64 }),
  },
  { ...closed, $id: "FlowManifest" },
);
export type FlowManifest = Static<typeof FlowManifest>;

/** What bounds one attempt and what follows when it ends badly. */
export interface RunPolicy {
  /** Wall clock of an attempt. */
  timeoutMs: number;
  /** Longest time without output. */
  silenceMs: number;
  /** Longest time without a runner. */
  queueMs: number;
  retry: { attempts: number; on: RetryReason[]; backoffMs: number };
  /** What a step that asks a model may use. */
  budget?: Budget;
}

/** A git worktree that is made for each attempt of a step. Both are templates over the event. */
export interface StepWorktree {
  /** A path relative to the runner's workspace, or a name of its configuration; absent: that of the step's project, else of the flow package. */
  repo?: string;
  /** Any committish of that repository. */
  ref: string;
  /** Further commits that the step looks at: as `ref`, they are fetched where the repository has them not. */
  needs?: string[];
}

/** A step with every default filled in. */
export interface FlowStep extends RunPolicy {
  name: string;
  runner: RunnerKind;
  script: string;
  cwd?: string;
  /** FLOW_RESULT counts anywhere in a line that a raw script prints; absent: at its beginning only. */
  result?: "anywhere";
  /** Template over the event: a name of the runner's own projects; empty: its default one, if it has one. */
  project?: string;
  /** Template over the event: a folder below the project, or where the runner allows it. */
  workdir?: string;
  /** Absent: the step works in the checkout that all runs share. */
  worktree?: StepWorktree;
  pool: string;
  labels: string[];
  priority: number;
  trigger?: { type: string; schema?: string };
  concurrency?: { key: string; limit: number };
}

/** A step that can be given a run: of a package, or built in. */
export interface StartableStep extends Omit<FlowStep, "runner"> {
  runner: StepKind;
  /** Whether what people say reaches it; absent: its kind says so. */
  listens?: boolean;
}

/** A file that belongs to a package. */
export interface PackageFile {
  /** Relative to the package, with "/". */
  path: string;
  /** Tells whether another file of this path has the same content. */
  hash: string;
}

/** A flow as the edge and the runner agent know it. `digest` names the exact files of the package. */
export interface Flow {
  name: string;
  version: number;
  description?: string;
  digest: string;
  steps: FlowStep[];
}

/** Fills a manifest's defaults. The digest comes from the package's files. */
export function resolveManifest(manifest: FlowManifest, digest: string): Flow {
  return {
    name: manifest.name,
    version: manifest.version,
    ...(manifest.description === undefined ? {} : { description: manifest.description }),
    digest,
    steps: manifest.steps.map((step) => ({
      name: step.name,
      runner: step.runner,
      script: step.script,
      ...(step.cwd === undefined ? {} : { cwd: step.cwd }),
      ...(step.result === undefined ? {} : { result: step.result }),
      ...(step.project === undefined ? {} : { project: step.project }),
      ...(step.workdir === undefined ? {} : { workdir: step.workdir }),
      ...worktreeOf(step.workspace),
      pool: step.pool ?? "default",
      labels: step.labels ?? [],
      priority: step.priority ?? 0,
      timeoutMs: step.timeout_ms ?? TIMEOUT_DEFAULT_MS,
      silenceMs: step.silence_ms ?? SILENCE_DEFAULT_MS,
      queueMs: step.queue_ms ?? QUEUE_DEFAULT_MS,
      retry: {
        attempts: step.retry?.attempts ?? 1,
        on: step.retry?.on ?? ["lost", "timeout"],
        backoffMs: step.retry?.backoff_ms ?? RETRY_BACKOFF_DEFAULT_MS,
      },
      ...(step.budget === undefined ? {} : { budget: step.budget }),
      ...(step.trigger === undefined ? {} : { trigger: step.trigger }),
      ...(step.concurrency === undefined
        ? {}
        : { concurrency: { key: step.concurrency.key, limit: step.concurrency.limit ?? 1 } }),
    })),
  };
}

function worktreeOf(workspace: Static<typeof Workspace> | undefined): { worktree?: StepWorktree } {
  if (workspace === undefined || workspace === "shared") return {};
  const { repo, ref = "HEAD", needs } = workspace === "worktree" ? {} : workspace;
  return {
    worktree: {
      ...(repo === undefined ? {} : { repo }),
      ref,
      ...(needs === undefined ? {} : { needs }),
    },
  };
}
