/** Forms that were sent off. */
import type { APIModalSubmitInteraction } from "discord-api-types/v10";
import { parseAction } from "../../contract/chat/action.ts";
import { ACTION_SCOPES } from "../chat/action-scopes.ts";
import { ask, dispatch } from "../chat/start.ts";
import { raiseBudget, say } from "../chat/steer.ts";
import { dryRun } from "../chat/watch.ts";
import { additionIn, askOf } from "./commands/codex.ts";
import { outOfDate, type Press } from "./components.ts";
import { FORM } from "./forms.ts";
import { readForm } from "./interaction.ts";

export function submissionOf(interaction: APIModalSubmitInteraction): Press {
  const fields = readForm(interaction);
  const { custom_id: customId } = interaction.data;
  const event = { type: fields.text("type")?.trim() ?? "", payload: fields.text("payload") ?? "" };
  switch (customId) {
    case FORM.dispatch:
      return {
        asked: { scope: "run:start", act: "flow dispatch", subject: event.type },
        inline: false,
        act: ({ env, asker }) => dispatch(env, asker, event),
      };
    case FORM.dryRun:
      return {
        asked: { scope: "run:read", act: "flow dry-run", subject: event.type },
        inline: false,
        act: () => dryRun(event),
      };
    case FORM.ask:
      return {
        asked: { scope: "run:start", act: "codex ask" },
        inline: false,
        act: ({ env, asker }) => ask(env, asker, askOf(fields)),
      };
    default:
      return ofRun(interaction, fields);
  }
}

function ofRun({ data }: APIModalSubmitInteraction, fields: ReturnType<typeof readForm>): Press {
  const action = parseAction(data.custom_id);
  if (action === undefined) return outOfDate("form");
  const { act, runId } = action;
  const asked = { scope: ACTION_SCOPES[act], act, subject: runId };
  if (act === "reply")
    return {
      asked,
      inline: false,
      act: ({ env, asker }) => say(env, asker, runId, fields.text("text") ?? ""),
    };
  if (act === "budget")
    return {
      asked,
      inline: false,
      act: ({ env, asker }) => raiseBudget(env, asker, runId, additionIn(fields)),
    };
  return outOfDate("form");
}
