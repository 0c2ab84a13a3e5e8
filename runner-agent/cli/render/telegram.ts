/** What `codex-flow telegram setup` shows: what changes at Telegram, and what follows from the bot's own settings. */
import type { Change } from "../../telegram/setup-plan.ts";
import { fields, paragraphs, section, visible, type Style } from "./text.ts";

export interface TelegramSetup {
  bot: { id: number; name: string | undefined; privacy: boolean };
  changes: Change[];
  /** Said by Telegram about its last deliveries. */
  trouble?: { message: string; at?: string };
  pending: number;
  applied: boolean;
}

export function renderTelegramSetup(style: Style, setup: TelegramSetup): string {
  const { bot, trouble, pending } = setup;
  return paragraphs([
    fields(style, [
      ["bot", `${bot.name === undefined ? "" : `@${bot.name} `}(${bot.id})`],
      ["privacy mode", privacyText(bot.privacy)],
      ["updates that wait", pending === 0 ? "" : String(pending)],
      [
        "last trouble",
        trouble === undefined ? "" : [trouble.at ?? "", visible(trouble.message)].join(" ").trim(),
      ],
    ]),
    section(style, setup.applied ? "changed" : "would change", changeLines(style, setup.changes)),
  ]);
}

function privacyText(on: boolean): string {
  return on
    ? "on: in groups the bot hears commands and replies to it; as an administrator, or with privacy off (BotFather, /setprivacy), also plain messages"
    : "off: the bot hears every message of its groups; what is not for it is ignored and not stored";
}

function changeLines({ colors }: Style, changes: Change[]): string {
  return changes
    .flatMap(({ what, before, after }) => [
      ...(before === undefined ? [] : [colors.red(`  - ${what}  ${visible(before)}`)]),
      ...(after === undefined ? [] : [colors.green(`  + ${what}  ${visible(after)}`)]),
    ])
    .join("\n");
}
