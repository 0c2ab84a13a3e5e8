/**
 * The scene of discord.ts for forms, choices, decisions and what all see: most of that may stand in the response alone, and
 * is never deferred (worker/discord/deferral.ts). Fifty at the same moment, of all kinds alike, on objects that are asleep.
 *
 * What is pressed and sent off is what the bot has shown: runs of an agent that asks leave, each in a thread of its own.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { ApprovalRequest } from "../contract/approvals.ts";
import type { ChatActionName } from "../contract/chat/action.ts";
import { SEND_TO_CODEX } from "../contract/chat/discord-commands.ts";
import type { AttemptEnd } from "../contract/run-record.ts";
import { within } from "../durable-objects/kit/deadline.ts";
import type { StartStep } from "../runner-agent/steps/start-step.ts";
import {
  TEXT,
  type FakeDiscord,
  type InteractionPayload,
  type Interacted,
  type Message,
  type User,
} from "../test/support/fake-discord/index.ts";
import { walk } from "../test/support/fake-discord/message-rules.ts";
import type { Callers } from "./discord-callers.ts";
import { checkFaults, type DiscordEdge } from "./discord-edge.ts";
import { EXITED, startStepRunner, type StepRunner } from "./step-runner.ts";

const KINDS = 10;
/** Of them, those that are about a run. */
const KINDS_OF_RUNS = 6;
const OF_EACH_KIND = 5;
export const INLINE_AT_ONCE = KINDS * OF_EACH_KIND;
/** An answer that came a second time would be there by then. */
const SECOND_ANSWER_MS = 1_000;
/** Of an answer that does not come at all. */
const LATEST_MS = 30_000;
const DEFERRED = 5;
/** Payload of an event whose run asks for what is dangerous. */
const DANGEROUS = '{"dangerous":true}';

/** Something to send, and what its answer says. */
interface Prepared {
  kind: string;
  payload: InteractionPayload;
  says: string;
  /** It may be deferred, too. */
  mayFollow?: boolean;
}

export interface InlineBurst {
  /** Until Discord had an answer or a deferral, ms. */
  acknowledged: number[];
  deferred: number;
}

export interface InlineScene {
  /** All at once. Throws unless each was answered rightly, and once. */
  together(through: Callers["send"]): Promise<InlineBurst>;
  stop(): Promise<void>;
}

export async function inlineScene(at: DiscordEdge): Promise<InlineScene> {
  const { fake, url } = at;
  const runner = await askingRunner(at);
  const prepared = await prepareAll(at);
  return {
    together: async (through) => {
      const answered = await Promise.all(
        prepared.map(async ({ payload, ...wanted }) => {
          const asking = fake.ask(url, payload, { through });
          return { ...wanted, shown: await within(asking, LATEST_MS, () => unanswered(wanted)) };
        }),
      );
      await sleep(SECOND_ANSWER_MS);
      for (const one of answered) checkAnswer(fake, one);
      checkFaults(fake);
      return {
        acknowledged: answered.map(({ shown }) => shown.tookMs),
        deferred: answered.filter(({ shown }) => isDeferred(shown)).length,
      };
    },
    stop: () => runner.stop(),
  };
}

/** Throws unless it says what it should, and nothing came after it but what a deferral had promised. */
function checkAnswer(
  fake: FakeDiscord,
  { kind, says, mayFollow = false, shown }: Omit<Prepared, "payload"> & { shown: Interacted },
): void {
  if (!shown.text.includes(says)) throw new Error(`${kind} was answered ${shown.text}, not ${says}`);
  if (isDeferred(shown) && !mayFollow) throw new Error(`${kind} was deferred`);
  const later = fake.requests.filter(({ path }) => path.includes(shown.token)).length;
  if (later !== (isDeferred(shown) ? 1 : 0)) throw new Error(`${kind} was answered ${later} times more`);
}

function isDeferred({ answer }: Interacted): boolean {
  return answer?.type === DEFERRED;
}

function unanswered({ kind }: { kind: string }): never {
  throw new Error(`${kind} has no answer after ${LATEST_MS} ms`);
}

/** Each of its steps asks leave once, and waits. */
function askingRunner({ edge }: DiscordEdge): Promise<StepRunner> {
  const startStep: StartStep = ({ event, conversation }) => {
    const ended = Promise.withResolvers<AttemptEnd>();
    void conversation?.ask(
      approval(JSON.stringify(event.payload) === DANGEROUS),
      new AbortController().signal,
    );
    return {
      pid: undefined,
      cancel: (reason) => ended.resolve({ ...EXITED, reason }),
      pause: () => undefined,
      resume: () => undefined,
      ended: ended.promise,
    };
  };
  return startStepRunner(edge, { name: "asking-box", capacity: KINDS_OF_RUNS * OF_EACH_KIND, startStep });
}

function approval(dangerous: boolean): ApprovalRequest {
  return {
    id: "a1-1",
    kind: "command",
    title: "git push",
    decisions: ["accept", "accept_for_session", "decline", "cancel"],
    dangerous,
  };
}

async function prepareAll(at: DiscordEdge): Promise<Prepared[]> {
  const groups: Promise<Prepared[]>[] = [];
  for (let first = 0; first < INLINE_AT_ONCE; first += KINDS)
    groups.push(prepareEach(at, at.people.slice(first, first + KINDS)));
  return (await Promise.all(groups)).flat();
}

/** One of each kind. */
async function prepareEach(at: DiscordEdge, people: User[]): Promise<Prepared[]> {
  const { fake, url } = at;
  const [runs, role] = [await askingRuns(at), fake.addRole("developers")];
  const [approved, denied, confirmed, unconfirmed, replied, commanded] = runs;
  const by = (index: number): { by: User } => ({ by: people[index] ?? fake.alice });
  const press = async (act: ChatActionName, runId = "", person = by(0)): Promise<InteractionPayload> => {
    const [message, customId] = await pressable(at, act, runId);
    return fake.button(message, customId, person);
  };
  const { message: second } = await fake.ask(url, await press("approve", confirmed, by(3)));
  const yes = second === undefined ? undefined : buttonsOf(second).find((id) => id.startsWith("v1:confirm:"));
  if (second === undefined || yes === undefined) throw new Error("Approve asked for no second press");
  const thread = fake.channel((await pressable(at, "deny", commanded ?? ""))[0].channelId);
  const roles = fake.command("roles set", { who: { type: 9, value: role.id } }, by(5));
  roles.data["resolved"] = { roles: { [role.id]: role } };
  const said = fake.say(fake.text, fake.alice, "the build is broken");
  const relayed = fake.addChannel(TEXT, "relayed");
  return [
    { kind: "Approve", payload: await press("approve", approved), says: "Approved by", mayFollow: true },
    { kind: "Deny", payload: await press("deny", denied, by(1)), says: "Denied by", mayFollow: true },
    {
      kind: "Approve, dangerous",
      payload: await press("approve", unconfirmed, by(2)),
      says: "v1:confirm:",
      mayFollow: true,
    },
    {
      kind: "the second press",
      payload: fake.button(second, yes, by(3)),
      says: "Approved by",
      mayFollow: true,
    },
    { kind: "Reply", payload: await press("reply", replied, by(4)), says: "v1:reply:" },
    { kind: "/roles set", payload: roles, says: "v1:grant:role:" },
    {
      kind: "/codex approve",
      payload: fake.command("codex approve", {}, { ...by(6), in: thread }),
      says: "Approved by",
    },
    {
      kind: "/codex ask",
      payload: fake.command("codex ask", {}, by(7)),
      says: "v1:form:ask",
    },
    {
      kind: "Send to Codex",
      payload: fake.messageCommand(SEND_TO_CODEX, said, by(8)),
      says: "v1:form:ask",
    },
    {
      kind: "/codeflow on",
      payload: fake.command("codeflow on", {}, { ...by(9), in: relayed }),
      says: "Codeflow is on for this channel",
    },
  ];
}

/** Asked for in the chat, so that they are shown there. The third and the fourth ask for what is dangerous. */
async function askingRuns({ fake, url, people: [boss = fake.alice] }: DiscordEdge): Promise<string[]> {
  const runs: string[] = [];
  for (let n = 0; n < KINDS_OF_RUNS; n += 1) {
    const event = { type: "bench.turn", payload: n === 2 || n === 3 ? DANGEROUS : "{}" };
    const { text } = await fake.ask(url, fake.command("flow dispatch", event, { by: boss }));
    runs.push(/run_[0-9a-z]{16}_1/.exec(text)?.[0] ?? "");
  }
  return runs;
}

/** The bot's message with such a button: a run's card, or an approval's own message, which has none to cancel the run. */
async function pressable(
  { fake }: DiscordEdge,
  act: ChatActionName,
  runId: string,
): Promise<[Message, string]> {
  return fake.waitFor(() => {
    const channels = [...fake.threads(fake.text.id), fake.text];
    for (const message of channels.flatMap(({ id }) => fake.messages(id))) {
      const ids = buttonsOf(message);
      const isCard = ids.some((id) => id.startsWith("v1:cancel:"));
      const found = ids.find((id) => id.startsWith(`v1:${act}:${runId}`));
      if (found !== undefined && isCard === (act === "reply")) return [message, found];
    }
    return undefined;
  });
}

function buttonsOf({ components }: Message): string[] {
  const ids: string[] = [];
  walk(components, [], ({ custom_id: id }) => {
    if (typeof id === "string") ids.push(id);
  });
  return ids;
}
