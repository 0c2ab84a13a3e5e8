/** What the bench of chats says of a burst: it must see a final that is missing, doubled or too early, and a card that is old. */
import { expect, test } from "vitest";
import type { Seen } from "../../bench/chat/place.ts";
import {
  LINES_A_STATE,
  lineText,
  RUNNER_NAME,
  stateText,
  wordText,
} from "../../bench/chat/talking-runner.ts";
import { judge, type Verdict } from "../../bench/chat/verdict.ts";

const RUN = "run_0123456789abcdef_1";
const STATES = 6;
const ENDED_AT = 1_000;
const CARD = `### bench · done ${stateText(STATES)} ${RUNNER_NAME} Took 3 s ${RUN} ${lineText(STATES * LINES_A_STATE)}`;
const FINAL = `### bench · done ${stateText(STATES)} Took 3 s ${RUN}`;
const WORDS = [1, 2].map((word) => wordText(word, RUN));
const FINE: Verdict = { missing: 0, doubled: 0, disordered: 0, wrongCards: 0, waits: [500] };

function verdict(texts: readonly string[]): Verdict {
  const messages = texts.map((text) => ({ text, at: ENDED_AT + 500 }));
  const seen: Seen = { messages, created: 0, edited: 0, published: 0, hidden: new Map(), faults: [] };
  return judge(seen, new Map([[RUN, ENDED_AT]]), STATES);
}

test.each([
  ["all words and then the final", [CARD, ...WORDS, FINAL]],
  ["the final alone, where words are not shown, and the card behind it", [FINAL, CARD]],
])("fine is %s", (_name, texts) => {
  expect(verdict(texts)).toEqual(FINE);
});

test.each([
  ["no final", [CARD, ...WORDS], { missing: 1, disordered: 1, waits: [] }],
  ["two finals", [CARD, ...WORDS, FINAL, FINAL], { doubled: 1, disordered: 1 }],
  ["a final before a word", [CARD, WORDS[0], FINAL, WORDS[1]], { disordered: 1 }],
  ["words in the wrong order", [CARD, WORDS[1], WORDS[0], FINAL], { disordered: 1 }],
  ["a word that is missing", [CARD, WORDS[0], FINAL], { disordered: 1 }],
  [
    "a card that shows an older state",
    [CARD.replace(stateText(STATES), stateText(1)), FINAL],
    { wrongCards: 1 },
  ],
  ["a card without the last line", [CARD.replace(/line \d+/, "line 1"), FINAL], { wrongCards: 1 }],
  ["two cards", [CARD, CARD, FINAL], { wrongCards: 1 }],
  ["no card", [FINAL], { wrongCards: 1 }],
] as [string, string[], Partial<Verdict>][])("seen is %s", (_name, texts, wrong) => {
  expect(verdict(texts)).toEqual({ ...FINE, ...wrong });
});
