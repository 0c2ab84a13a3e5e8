/**
 * How whoever speaks to Discord says what it is. Discord wants `DiscordBot ($url, $versionNumber)` and may block who does not
 * (40333; discord-api-docs, "User Agent"). The address is where this very deployment is reached, since that is what Discord's
 * people would look at; one that is not known is not made up.
 */
import packageDescription from "../../package.json" with { type: "json" };

const { name, version } = packageDescription;
/** Nothing that would end the header's comment. */
const ADDRESS = /^https?:\/\/[^\s(),]{1,256}$/;

/** @param edgeUrl where the edge is reached; without one it is the package's name */
export function discordUserAgent(edgeUrl: string | undefined): string {
  const url = edgeUrl?.trim() ?? "";
  return `DiscordBot (${ADDRESS.test(url) ? url : name}, ${version})`;
}
