/** From a question in a Telegram group to Codex's answer, through the real edge, the real agent and the real Codex. */
import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { stringify } from "smol-toml";
import { expect, onTestFinished, test } from "vitest";
import { codexFlow } from "../support/command-line.ts";
import { patch, structured } from "../support/fake-model/answers.ts";
import { fakeModelConfig, writeModelCatalog } from "../support/fake-model/codex-home.ts";
import { FakeModel } from "../support/fake-model/fake-model.ts";
import { FakeTelegram, NO_LIMITS, type Message } from "../support/fake-telegram/index.ts";
import { writeFiles } from "../support/flow-workspace.ts";
import { Edge, startRunner } from "../support/program.ts";

const SECRET = "secret_of-the-story";
const MANIFEST = `name = "codex-ask"
version = 1
[[steps]]
name = "ask"
runner = "codex"
script = "prompt.md"
[steps.trigger]
type = "codex.ask"
`;
const PROMPT = "---\napproval_policy: untrusted\n---\n{{payload.prompt}}";
const RULES = [
  {
    prompt: "make a file",
    answers: [
      patch("*** Add File: allowed.txt", "+allowed"),
      structured({ status: "completed", message: "the file is there" }),
    ],
  },
  { prompt: "and now rest", answers: [structured({ status: "completed", message: "resting" })] },
];

async function folder(name: string): Promise<string> {
  // Codex's own home may not lie where commands in a sandbox may write: not below the temporary directory.
  const path = await mkdtemp(join("/var/tmp", `${name}-`));
  onTestFinished(() => rm(path, { recursive: true, force: true }));
  return path;
}

function buttonOf(message: Message, label: string): string | undefined {
  const { inline_keyboard: rows = [] } = (message.keyboard ?? {}) as {
    inline_keyboard?: { text: string; callback_data?: string }[][];
  };
  return rows.flat().find(({ text }) => text === label)?.callback_data;
}

test("ask, a topic with a card, an approval that is pressed, the answer; then a word in the topic goes on; and a killed edge", async () => {
  const telegram = await FakeTelegram.start({ limits: NO_LIMITS, redeliverMs: 500 });
  onTestFinished(() => telegram.stop());
  const { group, alice } = telegram;
  const model = await FakeModel.start(RULES);
  onTestFinished(() => model.stop());
  const [state, workspace] = [await folder("telegram-state"), await folder("telegram-story")];
  await writeFiles(workspace, {
    "flows/codex-ask/flow.toml": MANIFEST,
    "flows/codex-ask/prompt.md": PROMPT,
    ".codex/runner.toml": stringify({
      codex: {
        home: join(state, "codex-home"),
        config: fakeModelConfig(model.url, writeModelCatalog(state)),
      },
    }),
  });
  const env = {
    TELEGRAM_BOT_TOKEN: telegram.token,
    TELEGRAM_WEBHOOK_SECRETS: SECRET,
    TELEGRAM_ADMINS: String(alice.id),
    TELEGRAM_API_URL: telegram.apiUrl,
  };
  const edge = await Edge.start({ state: join(state, "edge"), workspace, env });
  onTestFinished(() => edge.stop());
  const runner = await startRunner(edge, { name: "box", workspace, journal: join(state, "journal") });
  onTestFinished(async () => {
    await runner.kill();
  });

  const setUp = await codexFlow(["telegram", "setup", "--url", edge.info.url, "--yes"], { environment: env });
  expect([setUp.code, setUp.err]).toEqual([0, expect.stringContaining("done")]);
  await telegram.say(group, alice, "/bind@codex_flow_bot");
  await telegram.waitFor(() => telegram.messages(group).find(({ plain }) => plain.includes("Follows flows")));

  const asked = await telegram.say(group, alice, "/ask make a file");
  expect(asked?.text).toContain("setMessageReaction");
  const question = await telegram.waitFor(() =>
    telegram.messages(group).find((one) => one.topic !== undefined && buttonOf(one, "Approve") !== undefined),
  );
  const topic = question.topic ?? 0;
  expect(group.topics.size).toBe(1);
  const { delivery } = await telegram.press(question, buttonOf(question, "Approve") ?? "", alice);
  expect(delivery?.text).toContain("Approved by");
  const inTopic = (words: string) => () =>
    telegram.messages(group).find((one) => one.topic === topic && one.plain.includes(words));
  await telegram.waitFor(inTopic("the file is there"));

  await telegram.say(group, alice, "and now rest", { topic });
  await telegram.waitFor(inTopic("resting"));
  expect(group.topics.size).toBe(1);

  // Wherever the update is cut off, Telegram brings it again, and it is done once.
  const cutOff = telegram.say(group, alice, "/ask and now rest");
  await edge.kill();
  await edge.restart();
  await cutOff;
  await telegram.waitFor(() =>
    telegram.messages(group).find((one) => one.topic !== topic && one.plain.includes("resting")),
  );
  expect(group.topics.size).toBe(2);
  expect(telegram.faults.filter(({ tolerated }) => !tolerated)).toEqual([]);
  expect(edge.output).not.toContain(telegram.token);
});
