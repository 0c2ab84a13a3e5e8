/** What `codex-flow discord` shows: what changes at Discord and at the edge, how the bot is invited, which servers are let in. */
import type { ServerView } from "../../../contract/chat/audit.ts";
import type { CommandChange } from "../../discord/command-changes.ts";
import type { Registration } from "../discord-command.ts";
import { table } from "./table.ts";
import { fields, paragraphs, section, timeText, visible, type Style } from "./text.ts";

export function renderRegistration(style: Style, registration: Registration): string {
  const { application, guild, known, commands, endpoint, invite, applied } = registration;
  const { colors } = style;
  const moved = endpoint.before !== endpoint.after;
  const address = [
    ...(moved && endpoint.before !== undefined
      ? [colors.red(`  - interactions  ${visible(endpoint.before)}`)]
      : []),
    ...(moved ? [colors.green(`  + interactions  ${endpoint.after}`)] : []),
    ...(known === false ? [colors.green(`  + server  ${guild ?? ""} is let in at the edge`)] : []),
  ];
  return paragraphs([
    fields(style, [
      ["application", `${visible(application.name)} (${application.id})`],
      ["public key", application.publicKey],
      ["commands for", guild === undefined ? "all servers" : `the server ${guild}`],
      ["invite", invite],
    ]),
    ...warnings(style, registration),
    section(
      style,
      applied ? "changes" : "would change",
      [...address, ...commands.flatMap((change) => changeLines(style, change))].join("\n"),
    ),
  ]);
}

function warnings({ colors }: Style, registration: Registration): string[] {
  return [
    ...(registration.public
      ? [
          colors.yellow(
            "The bot is public: anybody can add it to a server of his own. Nobody there may do anything, but better switch it off:\ndeveloper portal, Installation, Install Link: None; then Bot, Public Bot.",
          ),
        ]
      : []),
    ...(registration.guild === undefined
      ? ["This lets no server in: codex-flow discord allow <server> does, for each one."]
      : []),
  ];
}

export function renderServers(style: Style, servers: ServerView[]): string {
  if (servers.length === 0) return "no server is let in: codex-flow discord allow <server>";
  return table(
    style,
    ["server", "since", "let in by"],
    servers.map(({ server, at, allowedBy }) => [server, timeText(style, at), visible(allowedBy)]),
  );
}

function changeLines({ colors }: Style, { name, change, parts }: CommandChange): string[] {
  if (change === "new") return [colors.green(`  + ${visible(name)}`)];
  if (change === "gone") return [colors.red(`  - ${visible(name)}`)];
  return [
    `  ~ ${visible(name)}`,
    ...parts.map((part) => (part.startsWith("-") ? colors.red : colors.green)(`      ${visible(part)}`)),
  ];
}
