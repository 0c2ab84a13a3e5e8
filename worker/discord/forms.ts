/** Forms (modals). What a form needs to know stands in its fields; its custom id says what it is, and of which run. */
import type { APIMessage } from "discord-api-types/v10";
import { encodeAction, type ChatActionName } from "../../contract/chat/action.ts";
import { beginningOf, shortened } from "../../contract/chat/short-text.ts";
import { visibleText } from "../../contract/visible-text.ts";
import { MESSAGE_MAX_CHARS } from "../../contract/limits.ts";
import type { SessionPolicy } from "../../contract/codex-prompt.ts";

export interface Form {
  kind: "form";
  outcome: string;
  modal: { custom_id: string; title: string; components: object[] };
}

/** Forms that belong to no run, by their custom ids. */
export const FORM = { dispatch: "v1:form:dispatch", dryRun: "v1:form:dry-run", ask: "v1:form:ask" } as const;

const LABEL = 18;
const TEXT_INPUT = 4;
const SELECT = 3;
const STYLE = { short: 1, paragraph: 2 } as const;
const TITLE_MAX_CHARS = 45;
/** Of a text field, by Discord. */
const FIELD_MAX_CHARS = 4_000;

interface Field {
  id: string;
  label: string;
  description?: string;
  long?: boolean;
  required?: boolean;
  most?: number;
  value?: string | undefined;
}

function form(customId: string, title: string, fields: Field[], more: object[] = []): Form {
  return {
    kind: "form",
    outcome: "opened a form",
    modal: {
      custom_id: customId,
      title: beginningOf(title, TITLE_MAX_CHARS),
      components: [...fields.map(textField), ...more],
    },
  };
}

function textField({ id, label, description, long, required = true, most, value }: Field): object {
  const limit = Math.min(most ?? FIELD_MAX_CHARS, FIELD_MAX_CHARS);
  return {
    type: LABEL,
    label,
    ...(description === undefined ? {} : { description }),
    component: {
      type: TEXT_INPUT,
      custom_id: id,
      style: long === true ? STYLE.paragraph : STYLE.short,
      required,
      max_length: limit,
      ...(value === undefined || value === "" ? {} : { value: beginningOf(visibleText(value), limit) }),
    },
  };
}

export function payloadForm(which: "dispatch" | "dryRun", type: string): Form {
  const title = which === "dispatch" ? "Send an event" : "What would an event start?";
  return form(FORM[which], title, [
    { id: "type", label: "Type", most: 128, value: type },
    { id: "payload", label: "Payload", description: "JSON; empty for {}", long: true, required: false },
  ]);
}

/** What a message says, with the names and addresses of its attachments: a form has no other place for them. */
export function promptOf(message: Pick<APIMessage, "content" | "attachments"> | undefined): string {
  const { content = "", attachments = [] } = message ?? {};
  if (attachments.length === 0) return content;
  const lines = ["Attached:", ...attachments.map(({ filename, url }) => `${filename}: ${url}`)];
  const below = beginningOf(`\n\n${lines.join("\n")}`, FIELD_MAX_CHARS / 2);
  return shortened(content, FIELD_MAX_CHARS - below.length) + below;
}

export function askForm(given: {
  prompt?: string | undefined;
  project?: string | undefined;
  workdir?: string | undefined;
  session?: SessionPolicy | undefined;
}): Form {
  const { prompt, project, workdir, session } = given;
  return form(
    FORM.ask,
    "Ask Codex",
    [
      { id: "prompt", label: "What to do", long: true, value: prompt },
      {
        id: "project",
        label: "Project",
        description: "Empty: what the channel says",
        required: false,
        most: 64,
        value: project,
      },
      { id: "workdir", label: "Folder", required: false, most: 1_024, value: workdir },
    ],
    [
      {
        type: LABEL,
        label: "Session",
        component: {
          type: SELECT,
          custom_id: "session",
          required: false,
          options: [
            { label: "As the channel says", value: "channel", default: session === undefined },
            { label: "Go on if there is one", value: "auto", default: session === "auto" },
            { label: "A new one", value: "new", default: session === "new" },
            { label: "Go on, or fail", value: "reuse", default: session === "reuse" },
          ],
        },
      },
    ],
  );
}

export function sayForm(runId: string): Form {
  return form(actionId("reply", runId), "Send a message to the agent", [
    { id: "text", label: "What to say", long: true, most: MESSAGE_MAX_CHARS },
  ]);
}

export function budgetForm(runId: string): Form {
  return form(actionId("budget", runId), "Give it more", [
    { id: "tokens", label: "Tokens to add", required: false, most: 12 },
    { id: "seconds", label: "Seconds to add", required: false, most: 12 },
    { id: "usd", label: "Dollars to add", required: false, most: 12 },
  ]);
}

function actionId(act: ChatActionName, runId: string): string {
  return encodeAction({ act, runId }) ?? "";
}
