/** What ran in this process, as text: how each run ended, or why nothing started. */
import type { FlowResult } from "../../../contract/flow-result.ts";
import type { StepMiss } from "../../../contract/matching.ts";
import type { RunView } from "../../../contract/run-view.ts";
import { runSentence, runStatus } from "./run.ts";
import { elapsedText, indent, jsonText, shellWord, visible, type Style } from "./text.ts";

/** A run as the JSON of `fire` and `run` shows it; the first three fields are the ancestor's. */
export interface LocalResult {
  flow: string;
  step: string;
  result: FlowResult;
  runId: string;
  /** Of the event that it ran for: another one for what a result has asked for. */
  eventId: string;
  errorCode?: string;
}

/** Flow and step, status, time and the sentence that says most; artifacts below. */
export function renderLocalRun(style: Style, run: RunView): string {
  const { colors } = style;
  const took = elapsedText(style, run.startedAt, run.completedAt);
  const code = run.errorCode === undefined ? "" : colors.dim(`(${visible(run.errorCode)})`);
  const line = [
    colors.bold(visible(`${run.flowName}/${run.stepName}`)),
    runStatus(style, run),
    took,
    runSentence(run),
    code,
  ];
  const { artifacts } = run.result ?? {};
  const shown =
    artifacts === undefined || Object.keys(artifacts).length === 0 ? "" : `\n${indent(jsonText(artifacts))}`;
  return `${line.filter((part) => part !== "").join("  ")}${shown}`;
}

export function renderNothingFired(
  style: Style,
  event: { id: string; type: string },
  misses: StepMiss[],
): string {
  const { colors } = style;
  const head = `${colors.yellow("nothing started:")} `;
  if (misses.length === 0)
    return `${head}no step here waits for events of type ${shellWord(event.type)}; \`${style.launcher ?? ""}codex-flow flows list\` shows what is here`;
  return [
    `${head}the payload of ${visible(event.id)} is not what these steps accept`,
    ...misses.map(({ flow, step, errors }) =>
      [
        `  ${visible(`${flow.name}/${step.name}`)}`,
        ...errors.map((error) => `      ${visible(error.path)} ${visible(error.message)}`),
      ].join("\n"),
    ),
  ].join("\n");
}
