/** A run in a Discord channel from its asking to its end: nobody to run it, leave asked for and given by one of many, a killed edge. */
import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { stringify } from "smol-toml";
import { expect, onTestFinished, test } from "vitest";
import {
  FakeDiscord,
  TEXT,
  type Channel,
  type Interacted,
  type Message,
  type User,
} from "../support/fake-discord/index.ts";
import { nameIn } from "../../durable-objects/chat-outbox/board/cards.ts";
import { walk } from "../support/fake-discord/message-rules.ts";
import type { Component } from "../support/fake-discord/world.ts";
import { held, patch, structured } from "../support/fake-model/answers.ts";
import { fakeModelConfig, writeModelCatalog } from "../support/fake-model/codex-home.ts";
import { FakeModel } from "../support/fake-model/fake-model.ts";
import { writeFiles } from "../support/flow-workspace.ts";
import { codexFlow, Edge, startRunner } from "../support/program.ts";
import { until } from "../support/until.ts";

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
/** Held, or the run would ask for leave before anybody has seen it run. Denied or not, Codex goes on. */
const RULES = [
  {
    prompt: "make a file",
    answers: [
      held(patch("*** Add File: allowed.txt", "+echo allowed > allowed.txt")),
      structured({ status: "completed", message: "that is all" }),
    ],
  },
];

async function folder(name: string): Promise<string> {
  // Codex's own home may not lie where commands in a sandbox may write: not below the temporary directory.
  const path = await mkdtemp(join("/var/tmp", `${name}-`));
  onTestFinished(() => rm(path, { recursive: true, force: true }));
  return path;
}

/** What stands in these components: texts, and the actions of buttons. */
function read(components: Component[]): { text: string; actions: string[] } {
  const texts: string[] = [];
  const actions: string[] = [];
  walk(components, [], ({ content, custom_id: action }) => {
    if (typeof content === "string") texts.push(content.replaceAll("\\", ""));
    if (typeof action === "string") actions.push(action);
  });
  return { text: texts.join("\n"), actions };
}

function textOf(message: Message): string {
  return read(message.components).text;
}

function actionOf(message: Message, act: string): string {
  return read(message.components).actions.find((action) => action.startsWith(`v1:${act}:`)) ?? "";
}

/** Everything that could decide an approval. */
function decisionsIn(messages: Message[]): string[] {
  return messages.flatMap(({ components }) =>
    read(components).actions.filter((action) => /^v1:(approve|approve_session|deny|details):/.test(action)),
  );
}

/** The titles that a message had, the present one last. */
function titlesOf({ history }: Message): string[] {
  const titles = history.map(({ components }) => /^### (.*)$/m.exec(read(components).text)?.[1] ?? "");
  return titles.filter((title, at) => title !== titles[at - 1]);
}

test("asked with every runner off, shown as it waits and runs, decided once by four people, told to its requester", async () => {
  const discord = await FakeDiscord.start();
  onTestFinished(() => discord.stop());
  const model = await FakeModel.start(RULES);
  onTestFinished(() => model.stop());
  const [state, workspace] = [await folder("discord-state"), await folder("discord-story")];
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
    DISCORD_APPLICATION_ID: discord.app.id,
    DISCORD_PUBLIC_KEY: discord.publicKey,
    DISCORD_BOT_TOKEN: discord.botToken,
    DISCORD_API_URL: discord.apiUrl,
  };
  const edge = await Edge.start({ state: join(state, "edge"), workspace, env });
  onTestFinished(() => edge.stop());
  const url = `${edge.info.url}/discord/interactions`;

  await edge.client().allowServer({ server: discord.guild.id, allowed: true });
  const role = discord.addRole("developers");
  await edge.client().setGrant({
    tenant: discord.guild.id,
    subject: `role:${role.id}`,
    scopes: ["run:read", "run:start", "run:reply", "run:approve"],
  });
  const boss = discord.addUser({ username: "boss", permissions: "8" });
  const [ada, bob, cleo] = ["ada", "bob", "cleo"].map((username) =>
    discord.addUser({ username, roles: [role.id] }),
  ) as [User, User, User];
  const stranger = discord.addUser({ username: "stranger" });
  const watched = discord.addChannel(TEXT, "watched");
  const follow = discord.command("channel follow", { flow: "codex-ask" }, { by: boss, in: watched });
  expect((await discord.ask(url, follow)).text).toContain("codex-ask");

  // Nobody is there to run it.
  const asked = await discord.ask(url, discord.command("codex ask", { prompt: "make a file" }, { by: ada }));
  const run = /run_[0-9a-z]{16}_1/.exec(asked.text)?.[0] ?? "";
  const threadIn = (parent: Channel): Promise<Channel> =>
    discord.waitFor(() => discord.threads(parent.id).find(({ id }) => discord.messages(id).length > 0));
  const threads = [await threadIn(discord.text), await threadIn(watched)] as const;
  const cards = threads.map(({ id }) => discord.messages(id)) as [Message[], Message[]];
  const [card, copy] = cards.map(([first, ...others]) => {
    expect(others).toEqual([]);
    if (first === undefined) throw new Error("the thread has no card");
    return first;
  }) as [Message, Message];
  for (const one of [card, copy])
    await discord.waitFor(() => textOf(one).includes("no runner of pool default is connected"));

  const runner = await startRunner(edge, { name: "box", workspace, journal: join(state, "journal") });
  onTestFinished(async () => {
    await runner.kill();
  });
  const turned = (title: string): Promise<boolean> =>
    discord.waitFor(() => [card, copy].every((one) => titlesOf(one).at(-1) === title));
  await turned("codex-ask · running");
  await until(() => model.requests.length > 0 || undefined);
  model.release();

  // It asks for leave; the edge is killed before anybody answers.
  const questionIn = ({ id }: Channel): Promise<Message> =>
    discord.waitFor(() =>
      discord.messages(id).find((one) => titlesOf(one).at(-1) === "codex-ask asks to change files"),
    );
  const questions = [await questionIn(threads[0]), await questionIn(threads[1])] as const;
  for (const question of questions) expect(textOf(question)).toContain("echo allowed > allowed.txt");
  await turned("codex-ask · waiting for approval");
  await edge.kill();
  await edge.restart();

  const press = (question: Message, act: string, by: User): Promise<Interacted> =>
    discord.ask(url, discord.button(question, actionOf(question, act), { by }));
  const presses = await Promise.all([
    press(questions[0], "approve", ada),
    press(questions[1], "deny", bob),
    press(questions[0], "approve", cleo),
    press(questions[0], "approve", stranger),
  ]);
  const [approval, ...others] = await edge.client().listApprovals(run);
  expect([approval?.state, others]).toEqual(["decided", []]);
  const winner = nameIn(approval?.decidedBy ?? "nobody");
  const told = presses.map(({ text }) => text.replaceAll("\\\\", ""));
  const first = told.filter((text) => /### (Approved|Denied) by /.test(text));
  expect(first).toEqual([expect.stringContaining(`by ${winner}`)]);
  const late = told.filter((text) => text.includes("### Already "));
  expect(late).toEqual([1, 2].map((): unknown => expect.stringContaining(` by ${winner}`)));
  expect(told[3]).toContain("run:approve");

  await turned("codex-ask · done");
  const finals = await Promise.all(
    threads.map(({ id }, at) =>
      discord.waitFor(() =>
        discord
          .messages(id)
          .find((one) => one !== [card, copy][at] && titlesOf(one).at(-1) === "codex-ask · done"),
      ),
    ),
  );
  for (const final of finals) expect(textOf(final)).toContain("that is all");
  await discord.waitFor(() =>
    questions.every((one) => titlesOf(one).at(-1) === "codex-ask asked to change files"),
  );
  const everything = [discord.text, watched, ...threads].flatMap(({ id }) => discord.messages(id));
  expect(decisionsIn(everything)).toEqual([]);
  for (const question of questions) expect(textOf(question)).toContain(`by ${nameIn(winner)}`);
  expect(titlesOf(card).slice(0, 3)).toEqual([
    "codex-ask · waiting for a runner",
    "codex-ask · running",
    "codex-ask · waiting for approval",
  ]);
  // Each thread has a card, the approval and the end, none of them twice; the answer is in the end message alone.
  for (const { id } of threads) {
    const messages = discord.messages(id);
    expect(messages.map((one) => titlesOf(one).at(-1))).toEqual([
      "codex-ask · done",
      "codex-ask asked to change files",
      "codex-ask · done",
    ]);
    expect(messages.filter((one) => textOf(one).includes("that is all"))).toEqual([messages.at(-1)]);
  }

  // Only ada is rung, in the thread of what she asked for: when leave is needed, and at the end.
  expect(everything.filter(({ rings }) => rings.length > 0)).toEqual([questions[0], finals[0]]);
  expect([questions[0], finals[0]].flatMap((one) => one?.rings)).toEqual([
    `user:${ada.id}`,
    `user:${ada.id}`,
  ]);

  const audit = await codexFlow(edge, "audit", "--run", run, "--json");
  const rows = JSON.parse(audit.stdout) as {
    audit: { act: string; verdict: string; user: { name: string }; outcome: string }[];
  };
  expect(rows.audit.map(({ act, verdict, user }) => `${user.name}: ${act} ${verdict}`).sort()).toEqual([
    "ada: approve allowed",
    "ada: codex ask allowed",
    "bob: deny allowed",
    "cleo: approve allowed",
    "stranger: approve denied",
  ]);
  expect(rows.audit.filter(({ outcome }) => outcome.startsWith("decided "))).toHaveLength(1);
  expect(
    rows.audit.filter(({ outcome }) => outcome.includes(`decided ${approval?.decidedBy ?? "nobody"}`)),
  ).toHaveLength(2);

  expect(discord.faults).toEqual([]);
  expect(discord.limited).toEqual([]);
  expect(edge.output).not.toContain(discord.botToken);
});
