/** What the edge answers to Discord, and the commands that it registers, are what Discord takes. */
import { expect, test } from "vitest";
import { DISCORD_COMMANDS } from "../../contract/chat/discord-commands.ts";
import type { ChatAnswer } from "../../worker/chat/answer.ts";
import { drawAnswer, drawChoices, PONG, DEFERRED, type DiscordAnswer } from "../../worker/discord/answers.ts";
import { askForm, budgetForm, payloadForm, sayForm } from "../../worker/discord/forms.ts";
import {
  brokenCommandRules,
  withIntegerPermissions,
  type CommandBody,
} from "../support/fake-discord/command-rules.ts";
import { bodyError, schemaError } from "../support/fake-discord/schema.ts";
import { NO_LIMITS, FakeDiscord } from "../support/fake-discord/index.ts";
import { startEndpoint } from "../support/http-endpoint.ts";

const RUN = "run_0123456789abcdef_1";
const LONG = "x".repeat(10_000);

const message = (more: Partial<Extract<ChatAnswer, { kind: "message" }>> = {}): DiscordAnswer => ({
  kind: "message",
  outcome: "done",
  message: {
    tone: "good",
    title: LONG,
    lines: Array<string>(50).fill(LONG),
    code: { text: LONG },
    buttons: [[{ label: LONG, style: "danger", action: `v1:cancel:${RUN}` }]],
  },
  ...more,
});

const ANSWERS: [string, DiscordAnswer][] = [
  ["a message", message()],
  ["one that all may see", message({ open: true })],
  ["a refusal", { kind: "denied", message: { tone: "bad", title: "no", lines: ["because"] } }],
  ["a form for a payload", payloadForm("dispatch", LONG.slice(0, 128))],
  ["a form for a prompt", askForm({ prompt: LONG, project: "shop", session: "new" })],
  ["an empty form for a prompt", askForm({})],
  ["a form for words", sayForm(RUN)],
  ["a form for a budget", budgetForm(RUN)],
  [
    "a message that asks for a second press",
    {
      kind: "confirm",
      runId: RUN,
      approval: "a1-1",
      message: { tone: "waiting", title: LONG, lines: [LONG, LONG] },
      outcome: "",
    },
  ],
  [
    "a choice of scopes",
    {
      kind: "choose",
      outcome: "",
      title: "What may <@&1> do?",
      customId: "v1:grant:role:12345678901234567890",
      options: ["a", "b"].map((value) => ({
        label: value,
        value,
        description: value,
        chosen: value === "a",
      })),
    },
  ],
];

test.each(ANSWERS)("%s, to a command", async (_name, answer) => {
  const fake = await FakeDiscord.start({ limits: NO_LIMITS });
  const url = await startEndpoint(() => ({ status: 200, body: drawAnswer(answer, false) }));
  const shown = await fake.interact(url, fake.command("flow show", { run: "x" }, { by: fake.alice }));
  await fake.stop();
  expect(shown.faults).toEqual([]);
  expect(["message", "modal"]).toContain(shown.what);
});

test("an answer that takes the place of its message is an update, and for a command a message", () => {
  const answer = message({ replaces: true, open: true });
  expect(drawAnswer(answer, true)).toMatchObject({ type: 7 });
  expect(drawAnswer(answer, false)).toMatchObject({ type: 4 });
  expect(schemaError("UpdateMessageInteractionCallbackRequest", drawAnswer(answer, true))).toBeUndefined();
});

test("a pong, a deferral, and choices", () => {
  expect(schemaError("PongInteractionCallbackRequest", PONG)).toBeUndefined();
  expect(schemaError("CreateMessageInteractionCallbackRequest", DEFERRED)).toBeUndefined();
  const choices = Array.from({ length: 25 }, (_unused, index) => ({
    name: "n".repeat(100),
    value: `v${index}`,
  }));
  expect(schemaError("ApplicationCommandAutocompleteCallbackRequest", drawChoices(choices))).toBeUndefined();
});

test("what was admitted before has no answer of Discord's form", () => {
  expect(() => drawAnswer({ kind: "replayed" }, false)).toThrow("admitted before");
});

test("the commands are ones that Discord takes", () => {
  expect(brokenCommandRules(DISCORD_COMMANDS as unknown as CommandBody[], true)).toEqual([]);
  expect(
    bodyError("PUT", "/applications/{application_id}/commands", withIntegerPermissions(DISCORD_COMMANDS)),
  ).toBeUndefined();
});

test("no command is offered in direct messages or outside of servers", () => {
  for (const command of DISCORD_COMMANDS)
    expect(command).toMatchObject({ contexts: [0], integration_types: [0] });
});
