/** All slash commands, by name and subcommand. */
import { CHANNEL_COMMANDS } from "./channel.ts";
import { CODEX_COMMANDS } from "./codex.ts";
import type { Commands } from "./command.ts";
import { DEPLOYMENT_COMMANDS } from "./deployment.ts";
import { FLOW_COMMANDS } from "./flow.ts";

export const COMMANDS: Commands = {
  ...FLOW_COMMANDS,
  ...CODEX_COMMANDS,
  ...CHANNEL_COMMANDS,
  ...DEPLOYMENT_COMMANDS,
};
