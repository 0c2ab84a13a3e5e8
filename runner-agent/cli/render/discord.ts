/** What `codex-flow discord register` shows: what changes at Discord, and how the bot is invited. */
import type { CommandChange } from "../../discord/command-changes.ts";
import type { Registration } from "../discord-command.ts";
import { fields, paragraphs, section, visible, type Style } from "./text.ts";

export function renderRegistration(style: Style, registration: Registration): string {
  const { application, guild, commands, endpoint, invite, applied } = registration;
  const { colors } = style;
  const moved = endpoint.before !== endpoint.after;
  const address = [
    ...(moved && endpoint.before !== undefined
      ? [colors.red(`  - interactions  ${visible(endpoint.before)}`)]
      : []),
    ...(moved ? [colors.green(`  + interactions  ${endpoint.after}`)] : []),
  ];
  return paragraphs([
    fields(style, [
      ["application", `${visible(application.name)} (${application.id})`],
      ["public key", application.publicKey],
      ["commands for", guild === undefined ? "all servers" : `the server ${guild}`],
      ["invite", invite],
    ]),
    section(
      style,
      applied ? "changes" : "would change",
      [...address, ...commands.flatMap((change) => changeLines(style, change))].join("\n"),
    ),
  ]);
}

function changeLines({ colors }: Style, { name, change, parts }: CommandChange): string[] {
  if (change === "new") return [colors.green(`  + ${visible(name)}`)];
  if (change === "gone") return [colors.red(`  - ${visible(name)}`)];
  return [
    `  ~ ${visible(name)}`,
    ...parts.map((part) => (part.startsWith("-") ? colors.red : colors.green)(`      ${visible(part)}`)),
  ];
}
