/** `codex-flow login`: saves an edge and its credentials as a profile. Asks the edge nothing. */
import type { Command } from "commander";
import { parseBaseUrl } from "../../client/transport.ts";
import { DEFAULT_PROFILE, resolveConnection } from "./configuration.ts";
import { EXIT } from "./exit-codes.ts";
import type { Act, Invocation } from "./invocation.ts";
import { examples } from "./option-values.ts";
import { UsageError } from "./problem.ts";

export function registerLogin(program: Command, act: Act): void {
  const login = program
    .command("login")
    .description("Save an edge and its credentials as a profile that only you can read")
    .option("--event-secret <secret>", "signs the events that you send (else CODEX_FLOW_EVENT_SECRET)");
  examples(login, [
    ["codex-flow login --url https://flows.example.workers.dev --token …", "the default profile"],
    ["codex-flow login --profile staging --url https://… --token …", "another one, for --profile staging"],
    ["CODEX_FLOW_TOKEN=… codex-flow login --url https://…", "a token that no other user sees"],
  ]);
  act<{ eventSecret?: string }>(login, saveProfile);
}

async function saveProfile(invocation: Invocation, options: { eventSecret?: string }): Promise<number> {
  const { environment } = invocation.host;
  const connection = resolveConnection(invocation.options, environment, undefined);
  const url = parseBaseUrl(connection.url.value);
  const eventSecret = options.eventSecret ?? connection.eventSecret?.value;
  if (connection.token === undefined && eventSecret === undefined)
    throw new UsageError(
      "there is nothing to log in with",
      "pass --token <token> (or set CODEX_FLOW_TOKEN), --event-secret <secret>, or both",
    );
  const { profilesPath, writeProfile } = await import("./profiles.ts");
  const path = profilesPath(environment);
  const profile = invocation.options.profile ?? DEFAULT_PROFILE;
  await writeProfile(path, profile, { url, token: connection.token?.value, eventSecret });
  await invocation.output.show(
    { profile, path, url },
    () => `saved profile ${profile} for ${url} in ${path}`,
  );
  invocation.output.note(({ colors }) => colors.dim("next: codex-flow status"));
  return EXIT.ok;
}
