/** What is to be said of a burst, by what stands in the chat and what the runs did. Pure. */
import type { Seen, SeenMessage } from "./place.ts";
import { LINES_A_STATE, lineText, RUNNER_NAME, stateText, WORDS, wordText } from "./talking-runner.ts";

export interface Verdict {
  /** Runs without a final message, and runs with more than one. */
  missing: number;
  doubled: number;
  /** Runs whose words and final do not stand there in their order, each once. */
  disordered: number;
  /** Runs that have not one card, showing how they ended. */
  wrongCards: number;
  /** From the end of a run to its final message, ms. */
  waits: number[];
}

/** @param ended when each run ended, epoch ms; `states`: how many each had */
export function judge({ messages }: Seen, ended: ReadonlyMap<string, number>, states: number): Verdict {
  const verdict: Verdict = { missing: 0, doubled: 0, disordered: 0, wrongCards: 0, waits: [] };
  const last = ["done", stateText(states), lineText(states * LINES_A_STATE)];
  for (const [runId, at] of ended) {
    const own = messages.filter(({ text }) => text.includes(runId));
    const cards = own.filter(({ text }) => text.includes(RUNNER_NAME));
    const finals = own.filter((message) => isFinal(message, states));
    if (finals[0] === undefined) verdict.missing += 1;
    else verdict.waits.push(finals[0].at - at);
    if (finals.length > 1) verdict.doubled += 1;
    if (!inOrder(own, runId, states)) verdict.disordered += 1;
    if (cards.length !== 1 || !last.every((part) => cards[0]?.text.includes(part))) verdict.wrongCards += 1;
  }
  return verdict;
}

/** All words and then the final, or the final alone where words are not shown. */
function inOrder(own: readonly SeenMessage[], runId: string, states: number): boolean {
  const words = Array.from({ length: WORDS }, (_unused, word) => wordText(word + 1, runId));
  const posts = own.flatMap((message) =>
    isFinal(message, states) ? ["final"] : words.filter((word) => message.text.includes(word)),
  );
  return [[...words, "final"], ["final"]].some((right) => right.join() === posts.join());
}

/** It says how the run ended and how long it took, and unlike the card not who ran it. */
function isFinal({ text }: SeenMessage, states: number): boolean {
  return text.includes(stateText(states)) && text.includes("Took") && !text.includes(RUNNER_NAME);
}
