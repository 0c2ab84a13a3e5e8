/** `codex-flow login`, `logout` and `profiles`: edges and their credentials, saved by name for the commands that follow. */
import type { Command } from "commander";
import { EdgeAnswerError, EdgeUnreachableError } from "../../client/edge-errors.ts";
import { DEFAULT_PROFILE, resolveConnection, type Connection } from "./configuration.ts";
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
    ["codex-flow login --url https://flows.example.workers.dev --token …", "save the default profile"],
    ["codex-flow login --profile staging --url https://… --token …", "save another profile"],
    ["CODEX_FLOW_TOKEN=… codex-flow login --url https://…", "a token that no other user sees"],
  ]);
  act<{ eventSecret?: string }>(login, saveProfile);
}

export function registerLogout(program: Command, act: Act): void {
  const logout = program
    .command("logout")
    .description("Remove a saved profile (--profile, else the default one)");
  examples(logout, [
    ["codex-flow logout", "remove the default profile"],
    ["codex-flow logout --profile staging", "remove another one"],
  ]);
  act(logout, removeSavedProfile);
}

export function registerProfiles(program: Command, act: Act): void {
  const profiles = program.command("profiles").description("List the saved profiles, without their secrets");
  examples(profiles, [["codex-flow profiles", "names and urls"]]);
  act(profiles, listProfiles);
}

async function saveProfile(invocation: Invocation, options: { eventSecret?: string }): Promise<number> {
  const { environment } = invocation.host;
  const connection = resolveConnection(invocation.options, environment, undefined);
  const url = connection.url.value;
  const eventSecret = options.eventSecret ?? connection.eventSecret?.value;
  if (connection.token === undefined && eventSecret === undefined)
    throw new UsageError(
      "there is nothing to log in with",
      "pass --token <token> (or set CODEX_FLOW_TOKEN), --event-secret <secret>, or both",
    );
  const warning = await checkCredentials(connection);
  const { profilesPath, writeProfile } = await import("./profiles.ts");
  const path = profilesPath(environment);
  const profile = invocation.options.profile ?? DEFAULT_PROFILE;
  await writeProfile(path, profile, { url, token: connection.token?.value, eventSecret });
  await invocation.output.show(
    { profile, path, url, ...(warning === undefined ? {} : { warning }) },
    () => `saved profile ${profile} for ${url} in ${path}`,
  );
  if (warning !== undefined) invocation.output.note(({ colors }) => colors.yellow(`warning: ${warning}`));
  const named = profile === DEFAULT_PROFILE ? "" : ` --profile ${profile}`;
  invocation.output.note(({ colors }) => colors.dim(`next: codex-flow status${named}`));
  return EXIT.ok;
}

/**
 * Asks the edge whether it knows the token. Throws EdgeAnswerError when it does not. A token that may not read runs is known
 * all the same. Returns a warning when the edge did not answer: the profile may be for a machine that is elsewhere.
 */
async function checkCredentials({ url, token }: Connection): Promise<string | undefined> {
  const { createEdgeClient } = await import("../../client/http.ts");
  const client = createEdgeClient({ url: url.value, token: token?.value });
  try {
    if (token === undefined) await client.health();
    else await client.listRuns({ limit: 1 });
    return undefined;
  } catch (error) {
    if (error instanceof EdgeAnswerError && error.status === FORBIDDEN) return undefined;
    if (error instanceof EdgeUnreachableError) return `the credentials could not be checked: ${error.reason}`;
    throw error;
  }
}

const FORBIDDEN = 403;

async function removeSavedProfile(invocation: Invocation): Promise<number> {
  const { profilesPath, removeProfile } = await import("./profiles.ts");
  const path = profilesPath(invocation.host.environment);
  const profile = invocation.options.profile ?? DEFAULT_PROFILE;
  if (!(await removeProfile(path, profile)))
    throw new UsageError(`${path} has no profile "${profile}"`, "`codex-flow profiles` lists them");
  await invocation.output.show({ profile, path }, () => `removed profile ${profile} from ${path}`);
  return EXIT.ok;
}

async function listProfiles(invocation: Invocation): Promise<number> {
  const { profilesPath, readProfiles } = await import("./profiles.ts");
  const path = profilesPath(invocation.host.environment);
  const profiles = [...(await readProfiles(path))].map(([name, { url, token, eventSecret }]) => ({
    name,
    url,
    hasToken: token !== undefined,
    hasEventSecret: eventSecret !== undefined,
  }));
  await invocation.output.show({ path, profiles }, () =>
    profiles.length === 0
      ? `no profile is saved in ${path}`
      : profiles
          .map(({ name, url = "(no url)", hasToken, hasEventSecret }) => {
            const has = [hasToken ? "token" : "", hasEventSecret ? "event secret" : ""].filter(Boolean);
            return `${name}  ${url}  ${has.join(", ")}`;
          })
          .join("\n"),
  );
  return EXIT.ok;
}
