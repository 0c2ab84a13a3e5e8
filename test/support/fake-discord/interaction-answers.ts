/**
 * What an endpoint may answer to an interaction, and what Discord then shows. A wrong answer shows "This interaction
 * failed", and is a fault of protocol.
 */
import { invalidForm } from "./errors.ts";
import type { InteractionRecord } from "./interaction-records.ts";
import { brokenComponentRules, walk, type BrokenRule, type MessageBody } from "./message-rules.ts";
import { checkMessage, edit, post, throwBroken } from "./posting.ts";
import { schemaError } from "./schema.ts";
import { EPHEMERAL, LOADING, type Component, type Message, type World } from "./world.ts";

export interface InteractionAnswer {
  type: number;
  data?: Record<string, unknown> | null;
}

/** A form that a user has open. */
export interface Modal {
  customId: string;
  title: string;
  components: Component[];
  /** Of the button that opened it. */
  message: Message | undefined;
}

export interface Choice {
  name: string;
  value: string | number;
}

/** What the user sees then. */
export interface Shown {
  what: "message" | "thinking" | "update" | "nothing" | "choices" | "modal" | "failed";
  message: Message | undefined;
  modal: Modal | undefined;
  choices: Choice[] | undefined;
}

export interface Asked {
  record: InteractionRecord;
  /** On which the component was, or from which the modal came. */
  message: Message | undefined;
  /** Type of the option that is being typed, for autocomplete. */
  focusedType: number | undefined;
}

const MESSAGE = 4;
const DEFER = 5;
const DEFER_UPDATE = 6;
const UPDATE = 7;
const CHOICES = 8;
const MODAL = 9;

/** Type of the interaction → types of answers. Those for a modal's submit hang on where the modal came from. */
const FITTING: Record<number, number[]> = {
  1: [1],
  2: [MESSAGE, DEFER, MODAL],
  3: [MESSAGE, DEFER, DEFER_UPDATE, UPDATE, MODAL],
  4: [CHOICES],
  5: [MESSAGE, DEFER],
};

const SCHEMAS: Record<number, string> = {
  1: "PongInteractionCallbackRequest",
  [MESSAGE]: "CreateMessageInteractionCallbackRequest",
  [DEFER]: "CreateMessageInteractionCallbackRequest",
  [DEFER_UPDATE]: "UpdateMessageInteractionCallbackRequest",
  [UPDATE]: "UpdateMessageInteractionCallbackRequest",
  [CHOICES]: "ApplicationCommandAutocompleteCallbackRequest",
  [MODAL]: "ModalInteractionCallbackRequest",
};

const MODAL_COMPONENTS = 5;
const STRING_OPTION = 3;
const ROW = 1;
const LABEL = 18;

export const FAILED: Shown = { what: "failed", message: undefined, modal: undefined, choices: undefined };

/** Checks the answer and applies it; throws a DiscordError for what Discord would refuse. */
export function applyAnswer(
  world: World,
  asked: Asked,
  answer: InteractionAnswer,
  report: (rule: string, message: string) => void,
): Shown {
  const { record, message: source } = asked;
  const fitting = FITTING[record.type] ?? [];
  const updates = record.type === 5 && source !== undefined ? [DEFER_UPDATE, UPDATE] : [];
  if (![...fitting, ...updates].includes(answer.type))
    throwBroken([
      { rule: "answer_type", path: ["type"], message: `no answer to an interaction of type ${record.type}` },
    ]);
  const wrong = schemaError(SCHEMAS[answer.type] ?? "", answer);
  if (wrong !== undefined) throw wrong;
  record.answeredAtMs = world.nowMs();
  const shown = { ...FAILED };
  switch (answer.type) {
    case MESSAGE:
      return { ...shown, what: "message", message: answerWithMessage(world, record, answer, report) };
    case DEFER:
      return { ...shown, what: "thinking", message: defer(world, record, answer) };
    case DEFER_UPDATE:
      record.original = source;
      return { ...shown, what: "nothing", message: source };
    case UPDATE:
      if (source === undefined)
        throw invalidForm([{ path: ["type"], message: "there is no message to update" }]);
      edit(world, source, answer.data ?? {}, report);
      record.original = source;
      return { ...shown, what: "update", message: source };
    case CHOICES:
      return { ...shown, what: "choices", choices: choicesOf(answer, asked.focusedType) };
    default:
      return { ...shown, what: "modal", modal: modalOf(answer, source) };
  }
}

function answerWithMessage(
  world: World,
  record: InteractionRecord,
  answer: InteractionAnswer,
  report: (rule: string, message: string) => void,
): Message {
  const body: MessageBody = answer.data ?? {};
  checkMessage(body, { mayBeEphemeral: true, existing: undefined }, report, ["data"]);
  const ephemeral = ((body.flags ?? 0) & EPHEMERAL) !== 0;
  record.original = post(world, record.channelId, body, {
    interactionId: record.id,
    ephemeralFor: ephemeral ? record.userId : undefined,
  });
  return record.original;
}

function defer(world: World, record: InteractionRecord, answer: InteractionAnswer): Message {
  const { flags = 0, ...more } = (answer.data ?? {}) as MessageBody;
  if (((flags ?? 0) & ~EPHEMERAL) !== 0 || Object.keys(more).length > 0)
    throwBroken([
      { rule: "deferred_data", path: ["data"], message: "a deferral carries nothing but the flag EPHEMERAL" },
    ]);
  const ephemeral = ((flags ?? 0) & EPHEMERAL) !== 0;
  record.thinking = true;
  record.original = world.addMessage(
    record.channelId,
    world.app,
    { flags: LOADING | (flags ?? 0) },
    { interactionId: record.id, ephemeralFor: ephemeral ? record.userId : undefined },
  );
  return record.original;
}

function choicesOf(answer: InteractionAnswer, focusedType: number | undefined): Choice[] {
  const choices = (answer.data?.["choices"] ?? []) as Choice[];
  const wanted = focusedType === STRING_OPTION || focusedType === undefined ? "string" : "number";
  throwBroken(
    choices.flatMap(({ value }, index): BrokenRule[] =>
      typeof value === wanted
        ? []
        : [
            {
              rule: "choice_type",
              path: ["data", "choices", String(index), "value"],
              message: `must be a ${wanted}`,
            },
          ],
    ),
  );
  return choices;
}

function modalOf({ data }: InteractionAnswer, message: Message | undefined): Modal {
  const form = data as unknown as { custom_id: string; title: string; components: Component[] };
  throwBroken(brokenModalRules(form.components), ["data"]);
  return { customId: form.custom_id, title: form.title, components: form.components, message };
}

function brokenModalRules(components: Component[]): BrokenRule[] {
  const broken = brokenComponentRules(components);
  if (components.length > MODAL_COMPONENTS)
    broken.push({
      rule: "modal_components",
      path: ["components"],
      message: `Must be between 1 and ${MODAL_COMPONENTS} in length.`,
    });
  walk(components, ["components"], (component, path) => {
    const inside = component.type === ROW ? (component["components"] as Component[]) : [];
    if (inside.some(({ label }) => typeof label !== "string") || inside.length > 1)
      broken.push({ rule: "modal_row", path, message: "a row of a modal holds one text input with a label" });
    const labelled = component.type === LABEL ? (component["component"] as Component) : undefined;
    if (typeof labelled?.["label"] === "string")
      broken.push({
        rule: "modal_label",
        path,
        message: "inside of a label an input has no label of its own",
      });
    const {
      min_length: least,
      max_length: most,
      value,
    } = component as Component & {
      min_length?: number;
      max_length?: number;
      value?: unknown;
    };
    if (typeof least === "number" && typeof most === "number" && least > most)
      broken.push({ rule: "modal_length", path, message: "min_length is more than max_length" });
    if (typeof value === "string" && typeof most === "number" && value.length > most)
      broken.push({ rule: "modal_length", path, message: "the value is longer than max_length" });
  });
  return broken;
}
