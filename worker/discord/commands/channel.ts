/** `/channel` and `/codeflow`: what is set for the channel in which they are used. */
import { OUTPUT_MODES } from "../../../durable-objects/chat-outbox/calls.ts";
import { SESSION_POLICIES } from "../../../contract/codex-prompt.ts";
import type { SettingsChange } from "../../../durable-objects/channel-settings/settings.ts";
import { refused, type ChatAnswer } from "../../chat/answer.ts";
import { setChannel, setGuard, showGuard, showSettings } from "../../chat/settings.ts";
import type { Options } from "../interaction.ts";
import { always, type Commands, type Invocation } from "./command.ts";

export const CHANNEL_COMMANDS: Commands = {
  "channel show": { scope: "run:read", run: ({ env, asker }) => showSettings(env, asker) },
  "channel follow": { scope: "admin", run: (invocation) => follow(invocation, "follow") },
  "channel unfollow": { scope: "admin", run: (invocation) => follow(invocation, "unfollow") },
  "channel set": {
    scope: "admin",
    run: ({ env, asker, options }) => {
      const change = changeIn(options);
      return Object.keys(change).length === 0
        ? refused("nothing_said", "Say what to set")
        : setChannel(env, asker, change);
    },
  },
  "channel clear": {
    scope: "admin",
    run: ({ env, asker }) => setChannel(env, asker, { project: null, workdir: null }),
  },
  // What they answer is for all to see.
  "codeflow on": {
    scope: "run:start",
    inline: always,
    run: ({ env, asker, options }) => {
      const sessionKey = options.text("session");
      return setGuard(env, asker, { on: true, ...(sessionKey === undefined ? {} : { sessionKey }) });
    },
  },
  "codeflow off": {
    scope: "run:start",
    inline: always,
    run: ({ env, asker }) => setGuard(env, asker, { on: false }),
  },
  "codeflow status": { scope: "run:read", inline: always, run: ({ env, asker }) => showGuard(env, asker) },
};

function follow(
  { env, asker, options }: Invocation,
  how: "follow" | "unfollow",
): Promise<ChatAnswer> | ChatAnswer {
  const flow = options.text("flow");
  const type = options.text("type");
  if (flow === undefined && type === undefined) return refused("nothing_said", "Say a flow or a type");
  const named = {
    ...(flow === undefined ? {} : { flows: [flow] }),
    ...(type === undefined ? {} : { types: [type] }),
  };
  return setChannel(env, asker, how === "follow" ? { follow: named } : { unfollow: named });
}

/** A project takes the place of a folder, and the other way round. */
function changeIn(options: Options): SettingsChange {
  const project = options.text("project");
  const workdir = options.text("workdir");
  const session = options.word("session", SESSION_POLICIES);
  const output = options.word("output", OUTPUT_MODES);
  const safe = options.flag("safe");
  const threads = options.flag("threads");
  const listen = options.flag("listen");
  return {
    ...(workdir === undefined ? {} : { workdir, project: null }),
    ...(project === undefined ? {} : { project, ...(workdir === undefined ? { workdir: null } : {}) }),
    ...(session === undefined ? {} : { session }),
    ...(output === undefined ? {} : { output }),
    ...(safe === undefined ? {} : { safe }),
    ...(threads === undefined ? {} : { threads }),
    ...(listen === undefined ? {} : { listen }),
  };
}
