/** What a command is to the router: the scope that it takes, and what it does once that is there. */
import type { ChatScope } from "../../../contract/chat/scopes.ts";
import type { Asker } from "../../chat/asker.ts";
import { runMeant } from "../../chat/located.ts";
import type { Env } from "../../env.ts";
import type { DiscordAnswer } from "../answers.ts";
import type { Options } from "../interaction.ts";

export interface Invocation {
  env: Env;
  asker: Asker;
  options: Options;
  /** What the asker may do now. */
  scopes: ReadonlySet<ChatScope>;
}

export interface Command {
  scope: ChatScope;
  /** Whether its answer may be one that can stand in the response alone (deferral.ts, 1 and 2); absent: never. */
  inline?(options: Options): boolean;
  run(invocation: Invocation): Promise<DiscordAnswer> | DiscordAnswer;
}

export const always = (): boolean => true;

/** By name and subcommand, as they are registered: "flow dispatch". */
export type Commands = Readonly<Record<string, Command>>;

/** A command about a run: the one that was named, or the one whose thread this is. */
export function aboutRun(
  scope: ChatScope,
  run: (runId: string, invocation: Invocation) => Promise<DiscordAnswer> | DiscordAnswer,
): Command {
  return {
    scope,
    run: async (invocation) => {
      const { env, asker, options } = invocation;
      return run(await runMeant(env, asker, options.text("run")), invocation);
    },
  };
}
