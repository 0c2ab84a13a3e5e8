/** What scripts may ask of the chats by HTTP: to say something in a channel, and how delivery stands. */
import Type, { type Static } from "typebox";
import {
  CHAT_KEY_MAX_CHARS,
  CHAT_LINE_MAX_CHARS,
  CHAT_LINES_MAX,
  CHAT_CODE_MAX_CHARS,
  CHAT_TITLE_MAX_CHARS,
} from "../limits.ts";
import { DELIVERY_CLASSES } from "./message.ts";
import { CHAT_PLATFORMS } from "./place.ts";

const BUTTON_ROWS_MAX = 5;
const BUTTONS_PER_ROW_MAX = 5;
const LABEL_MAX_CHARS = 80;
const FIELDS_MAX = 25;
const FIELD_MAX_CHARS = 1024;
const LINKS_MAX = 5;
const URL_MAX_CHARS = 512;
const ACTION_MAX_CHARS = 64;
const MENTIONS_MAX = 20;
const LANGUAGE_MAX_CHARS = 32;

const closed = { additionalProperties: false };
const label = Type.String({ minLength: 1, maxLength: LABEL_MAX_CHARS });

export const ChatPlaceInput = Type.Object(
  {
    platform: Type.Enum([...CHAT_PLATFORMS]),
    channel: Type.String({
      pattern: "^-?[0-9]{1,20}$",
      description: "Id of a channel or forum (Discord) or of a chat (Telegram)",
    }),
    thread: Type.Optional(
      Type.String({ pattern: "^[0-9]{1,20}$", description: "Id of a thread or topic in it" }),
    ),
  },
  { ...closed, $id: "ChatPlace" },
);

export const ChatMessageInput = Type.Object(
  {
    tone: Type.Enum(["neutral", "queued", "running", "waiting", "good", "attention", "bad", "stopped"]),
    title: Type.String({ minLength: 1, maxLength: CHAT_TITLE_MAX_CHARS }),
    lines: Type.Optional(
      Type.Array(Type.String({ maxLength: CHAT_LINE_MAX_CHARS }), {
        maxItems: CHAT_LINES_MAX,
        description: "Plain text; what stands between two fences of backticks is code",
      }),
    ),
    fields: Type.Optional(
      Type.Array(
        Type.Object(
          {
            name: Type.String({ minLength: 1, maxLength: FIELD_MAX_CHARS }),
            value: Type.String({ minLength: 1, maxLength: FIELD_MAX_CHARS }),
          },
          closed,
        ),
        { maxItems: FIELDS_MAX },
      ),
    ),
    code: Type.Optional(
      Type.Object(
        {
          text: Type.String({ maxLength: CHAT_CODE_MAX_CHARS }),
          language: Type.Optional(Type.String({ maxLength: LANGUAGE_MAX_CHARS })),
        },
        { ...closed, description: "Its end is shown when it is too long" },
      ),
    ),
    since: Type.Optional(Type.Integer({ minimum: 0, description: "Epoch ms" })),
    links: Type.Optional(
      Type.Array(
        Type.Object({ label, url: Type.String({ pattern: "^https?://", maxLength: URL_MAX_CHARS }) }, closed),
        { maxItems: LINKS_MAX },
      ),
    ),
    buttons: Type.Optional(
      Type.Array(
        Type.Array(
          Type.Object(
            {
              label,
              style: Type.Enum(["primary", "secondary", "success", "danger"]),
              action: Type.String({ minLength: 1, maxLength: ACTION_MAX_CHARS }),
            },
            closed,
          ),
          { maxItems: BUTTONS_PER_ROW_MAX },
        ),
        { maxItems: BUTTON_ROWS_MAX },
      ),
    ),
    mention: Type.Optional(
      Type.Array(Type.String({ pattern: "^[0-9]{1,20}$" }), {
        maxItems: MENTIONS_MAX,
        description: "Ids of users whose devices ring",
      }),
    ),
    silent: Type.Optional(Type.Boolean()),
  },
  { ...closed, $id: "ChatMessage" },
);

export const ChatPostRequest = Type.Object(
  {
    place: ChatPlaceInput,
    key: Type.String({
      minLength: 1,
      maxLength: CHAT_KEY_MAX_CHARS,
      description: "Of the same key, the first message is posted and no other",
    }),
    class: Type.Enum([...DELIVERY_CLASSES], {
      description: "final and event are never dropped while their channel lives",
    }),
    message: ChatMessageInput,
  },
  { ...closed, $id: "ChatPostRequest" },
);
export type ChatPostRequest = Static<typeof ChatPostRequest>;

export const ChatPostAnswer = Type.Object(
  { status: Type.Enum(["accepted", "duplicate"]) },
  { $id: "ChatPostAnswer" },
);

export const ChatOutboxView = Type.Object(
  {
    platform: Type.Enum([...CHAT_PLATFORMS]),
    waiting: Type.Object({ final: Type.Integer(), event: Type.Integer(), state: Type.Integer() }),
    oldestMs: Type.Optional(Type.Integer({ description: "Age of the oldest message that waits" })),
    sent: Type.Integer({ description: "Messages that are out, of the last days" }),
    limited: Type.Integer({ description: "How often the platform has asked to wait" }),
    halted: Type.Optional(
      Type.Object(
        {
          code: Type.String(),
          message: Type.String(),
          until: Type.Optional(Type.Integer({ description: "Epoch ms; absent: until somebody mends it" })),
        },
        { description: "Why nothing is sent at all" },
      ),
    ),
    parked: Type.Array(
      Type.Object({
        place: Type.String(),
        code: Type.String(),
        message: Type.String(),
        at: Type.Integer({ description: "Epoch ms" }),
        waiting: Type.Integer(),
      }),
      { description: "Channels that take nothing, and messages that were refused" },
    ),
    shownRuns: Type.Integer({ description: "Runs that are shown somewhere and not over" }),
    polling: Type.Optional(
      Type.Object(
        {
          usually: Type.Boolean({ description: "Of channels that say nothing of it" }),
          threads: Type.Integer({ description: "Threads that are asked now and then" }),
        },
        { description: "Picking up plain messages in threads of runs, on Discord" },
      ),
    ),
  },
  { $id: "ChatOutbox" },
);
export type ChatOutboxView = Static<typeof ChatOutboxView>;
