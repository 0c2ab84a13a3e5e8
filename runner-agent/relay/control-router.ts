/** What a message to `/codeflow` asks for, decided by its words alone. Pure. */
import type { ControlAction } from "../../contract/relay.ts";

export interface ControlRoute {
  action: ControlAction;
  /** What stands behind the command: a task for the agent, which is nobody's here. */
  rest: string;
}

const WORDS: Readonly<Record<string, ControlAction>> = {
  on: "on",
  enable: "on",
  activate: "on",
  off: "off",
  disable: "off",
  deactivate: "off",
  status: "status",
};
/** The button of an earlier answer, as a host hands it on. */
const INSTALL = /^(?:callback_data:\s*)?cfe:install$/i;
/** Telegram adds the bot's name in groups. */
const COMMAND = /^\/codeflow(?:@\w+)?(?=\s|$)\s*/i;

/** Undefined for a text that is no command of ours. */
export function routeControl(text: string): ControlRoute | undefined {
  const trimmed = text.trim();
  if (INSTALL.test(trimmed)) return { action: "install", rest: "" };
  const command = COMMAND.exec(trimmed);
  if (command === null) return undefined;
  const behind = trimmed.slice(command[0].length);
  const [word = "", space = ""] = /^(\S+)(\s*)/.exec(behind)?.slice(1) ?? [];
  const action = Object.hasOwn(WORDS, word.toLowerCase()) ? WORDS[word.toLowerCase()] : undefined;
  return action === undefined
    ? { action: "on", rest: behind }
    : { action, rest: behind.slice(word.length + space.length) };
}
