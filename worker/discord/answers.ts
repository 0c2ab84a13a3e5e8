/**
 * Answers to interactions, as Discord takes them. They go into the response itself: a call back from here would wait for
 * the handler that makes it.
 */
import { ConflictError } from "../../contract/errors.ts";
import { drawDiscord } from "../../durable-objects/chat-outbox/discord/message.ts";
import type { ChatAnswer } from "../chat/answer.ts";
import type { Form } from "./forms.ts";

/** A choice of several words, under an answer that only the asker sees. */
export interface Choosing {
  kind: "choose";
  outcome: string;
  title: string;
  customId: string;
  options: { label: string; value: string; description: string; chosen: boolean }[];
}

export type DiscordAnswer = ChatAnswer | Form | Choosing;

/** Discord's numbers: kinds of responses, of components. */
const RESPONSE = { pong: 1, message: 4, deferred: 5, update: 7, choices: 8, modal: 9 } as const;
const COMPONENT = { row: 1, textSelect: 3, text: 10 } as const;
const EPHEMERAL = 64;
const COMPONENTS_V2 = 32768;

export const PONG = { type: RESPONSE.pong };
/** Only the asker will see the answer. It may carry no other flag. */
export const DEFERRED = { type: RESPONSE.deferred, data: { flags: EPHEMERAL } };

/** @param onMessage it answers a button, whose message can be replaced */
export function drawAnswer(answer: DiscordAnswer, onMessage: boolean): object {
  switch (answer.kind) {
    case "replayed":
      throw new ConflictError("replayed", "this interaction was admitted before; nothing was done");
    case "form":
      return { type: RESPONSE.modal, data: answer.modal };
    case "choose":
      return { type: RESPONSE.message, data: drawChoosing(answer) };
    case "confirm":
    case "denied":
      return privately(answer.message);
    case "message": {
      if (answer.replaces === true && onMessage)
        return { type: RESPONSE.update, data: drawDiscord(answer.message).body };
      if (answer.open !== true) return privately(answer.message);
      return { type: RESPONSE.message, data: drawDiscord(answer.message).body };
    }
  }
}

function privately(message: Parameters<typeof drawDiscord>[0]): object {
  const { body } = drawDiscord(message);
  return { type: RESPONSE.message, data: { ...body, flags: body.flags | EPHEMERAL } };
}

export function drawChoices(choices: { name: string; value: string }[]): object {
  return { type: RESPONSE.choices, data: { choices } };
}

function drawChoosing({ title, customId, options }: Choosing): object {
  return {
    flags: COMPONENTS_V2 | EPHEMERAL,
    allowed_mentions: { parse: [] },
    components: [
      { type: COMPONENT.text, content: title },
      {
        type: COMPONENT.row,
        components: [
          {
            type: COMPONENT.textSelect,
            custom_id: customId,
            min_values: 0,
            max_values: options.length,
            options: options.map(({ chosen, ...option }) => ({ ...option, default: chosen })),
          },
        ],
      },
    ],
  };
}
