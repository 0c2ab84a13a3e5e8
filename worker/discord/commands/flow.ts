/** `/flow`: events and their runs. */
import { dispatch } from "../../chat/start.ts";
import { cancel, replay } from "../../chat/steer.ts";
import { dryRun, listEvents, listRuns, logs, showRun } from "../../chat/watch.ts";
import { runMeant } from "../../chat/located.ts";
import { payloadForm } from "../forms.ts";
import type { Options } from "../interaction.ts";
import { aboutRun, type Commands } from "./command.ts";

export const FLOW_COMMANDS: Commands = {
  "flow dispatch": {
    scope: "run:start",
    inline: withoutPayload,
    run: ({ env, asker, options }) => {
      const type = options.text("type") ?? "";
      const payload = options.text("payload");
      return payload === undefined ? payloadForm("dispatch", type) : dispatch(env, asker, { type, payload });
    },
  },
  "flow dry-run": {
    scope: "run:read",
    inline: withoutPayload,
    run: ({ options }) => {
      const type = options.text("type") ?? "";
      const payload = options.text("payload");
      return payload === undefined ? payloadForm("dryRun", type) : dryRun({ type, payload });
    },
  },
  "flow events": {
    scope: "run:read",
    run: ({ env, options }) => listEvents(env, only({ type: options.text("type") })),
  },
  "flow runs": {
    scope: "run:read",
    run: ({ env, options }) =>
      listRuns(env, only({ status: options.text("status"), flow: options.text("flow") })),
  },
  "flow show": aboutRun("run:read", (runId, { env }) => showRun(env, runId)),
  "flow logs": aboutRun("run:read", (runId, { env, asker }) => logs(env, asker, runId)),
  "flow cancel": aboutRun("run:reply", (runId, { env, asker }) => cancel(env, asker, runId)),
  "flow replay": {
    scope: "run:start",
    run: async ({ env, asker, options }) => {
      const eventId = options.text("event");
      return eventId === undefined
        ? replay(env, asker, { runId: await runMeant(env, asker, options.text("run")) })
        : replay(env, asker, { eventId });
    },
  },
};

/** Then a form asks for it. */
function withoutPayload(options: Options): boolean {
  return options.text("payload") === undefined;
}

/** `*` is all, as in what a channel follows. */
function only<Filter extends Record<string, string | undefined>>(
  filter: Filter,
): { [Name in keyof Filter]?: string } {
  return Object.fromEntries(
    Object.entries(filter).filter(([, value]) => value !== undefined && value !== "*"),
  ) as { [Name in keyof Filter]?: string };
}
