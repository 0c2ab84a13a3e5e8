/** Worktrees of runs as text, and as the document of --json. */
import { keptLine } from "../../workspace/kept.ts";
import type { KeptWorktree, Ownership } from "../../workspace/ownership.ts";
import { isInUse, type Pruned } from "../../workspace/workspaces.ts";
import { table } from "./table.ts";
import { bytesText, nextSteps, paragraphs, timeText, visible, type Style } from "./text.ts";

export interface WorktreeRow {
  /** Of its attempt. */
  id: string;
  path: string;
  /** `left`: its agent is gone, and looks at it at its next start. */
  state: "in_use" | "left" | "kept";
  repository: string;
  ref: string;
  base: string;
  createdAt: string;
  /** On the disk; only of what is kept. */
  bytes?: number;
  kept?: KeptWorktree;
}

export function worktreeRow(owned: Ownership): WorktreeRow {
  const { attempt, path, repository, ref, base, createdAt, state, bytes, keptAs } = owned;
  return {
    id: attempt,
    path,
    state: state === "kept" ? "kept" : isInUse(owned) ? "in_use" : "left",
    repository,
    ref,
    base,
    createdAt: new Date(createdAt).toISOString(),
    ...(bytes === undefined ? {} : { bytes }),
    ...(keptAs === undefined ? {} : { kept: keptAs }),
  };
}

const STATE_WORDS: Record<WorktreeRow["state"], string> = {
  in_use: "in use",
  left: "left behind",
  kept: "kept",
};
const WHY_LEFT = "its agent is gone; the agent's next start looks at it";

export function renderWorktrees(style: Style, worktrees: readonly WorktreeRow[]): string {
  if (worktrees.length === 0) return "no worktrees";
  return paragraphs([
    table(
      style,
      ["id", "made", "size", "state", "why"],
      worktrees.map(({ id, createdAt, bytes, state, kept }) => [
        visible(id),
        timeText(style, createdAt),
        bytes === undefined ? "" : bytesText(bytes),
        STATE_WORDS[state],
        visible(kept?.reason ?? (state === "left" ? WHY_LEFT : "")),
      ]),
    ),
    worktrees.some(({ state }) => state === "kept")
      ? nextSteps(style, [
          ["codex-flow runner worktrees prune", "removes what is clean and pushed by now"],
          ["codex-flow runner worktrees prune --force <id>", "throws one away, with the work in it"],
        ])
      : "",
  ]);
}

export function renderPruned({ removed, kept }: Pruned): string {
  if (removed.length + kept.length === 0) return "nothing to remove";
  return [
    ...removed.map((path) => `removed: ${visible(path)}`),
    ...kept.map((each) => visible(keptLine(each).trimEnd())),
  ].join("\n");
}
