/**
 * Which edge, with which token: flags, then environment, then the profile file. Pure; the file is read elsewhere.
 *
 * A profile that is asked for by name comes before the environment, since it was typed. A profile's token and
 * secret go only to that profile's own url, never to another one that a flag or the environment names.
 */
import { parseBaseUrl } from "../../client/transport.ts";
import { UsageError } from "./problem.ts";
import type { Profile } from "./profiles.ts";

export interface ConnectionFlags {
  url?: string | undefined;
  token?: string | undefined;
}

/** A value, and where it came from in words: "--url", "CODEX_FLOW_URL", "profile default". */
export interface Setting {
  value: string;
  from: string;
}

export interface Connection {
  url: Setting;
  token?: Setting | undefined;
  eventSecret?: Setting | undefined;
}

export interface ChosenProfile {
  name: string;
  settings: Profile;
  /** Asked for with --profile. */
  explicit: boolean;
}

/** Visible ASCII, as RFC 9110 allows it in a credential. */
const TOKEN_FORM = /^[\x21-\x7e]+$/;

type Environment = Readonly<Record<string, string | undefined>>;

/** Own names before the ancestor's. */
const URL_VARIABLES = ["CODEX_FLOW_URL", "CODEX_FLOW_BACKEND_URL"];
const TOKEN_VARIABLES = ["CODEX_FLOW_TOKEN", "CODEX_FLOW_BACKEND_TOKEN"];
const SECRET_VARIABLES = ["CODEX_FLOW_EVENT_SECRET", "CODEX_FLOW_BACKEND_SECRET"];

export const DEFAULT_PROFILE = "default";

/** Whether flags and environment leave anything for a profile to say. */
export function needsProfile(flags: ConnectionFlags, environment: Environment): boolean {
  const given = resolve(flags, environment, undefined);
  return given.url === undefined || given.token === undefined;
}

/** Settles each value. Throws UsageError when there is no url or the token can never work, EdgeUrlError for a bad url. */
export function resolveConnection(
  flags: ConnectionFlags,
  environment: Environment,
  profile: ChosenProfile | undefined,
): Connection {
  const { url, token, eventSecret } = resolve(flags, environment, profile);
  if (url === undefined)
    throw new UsageError(
      "no edge url is given",
      "pass --url <url>, set CODEX_FLOW_URL, or save one with `codex-flow login --url <url> --token <token>`",
    );
  return {
    url: { ...url, value: parseBaseUrl(url.value) },
    token: token === undefined ? undefined : checkedToken(token),
    eventSecret,
  };
}

/** Throws UsageError for a token that no header can carry: every request with it would fail for another odd reason. */
function checkedToken(token: Setting): Setting {
  if (TOKEN_FORM.test(token.value)) return token;
  throw new UsageError(
    `the token in ${token.from} has white space or characters that cannot stand in an HTTP header`,
    `copy the token into ${token.from} again, as one word`,
  );
}

/** The error for a command that cannot do without a token. */
export function missingToken(connection: Connection, orSecret: boolean): UsageError {
  const secret = orSecret ? " (or CODEX_FLOW_EVENT_SECRET, to sign events)" : "";
  return new UsageError(
    `no token is given for ${connection.url.value}`,
    `pass --token <token>, set CODEX_FLOW_TOKEN${secret}, or save one with \`codex-flow login --url ${connection.url.value} --token <token>\``,
  );
}

function resolve(
  flags: ConnectionFlags,
  environment: Environment,
  profile: ChosenProfile | undefined,
): Partial<Connection> {
  const early = profile?.explicit === true ? profile : undefined;
  const late = profile?.explicit === false ? profile : undefined;
  const url =
    setting(flags.url, "--url") ??
    fromProfile(early, "url") ??
    fromEnvironment(environment, URL_VARIABLES) ??
    fromProfile(late, "url");
  const credentials = (chosen: ChosenProfile | undefined) => (belongsTo(chosen, url) ? chosen : undefined);
  return {
    url,
    token:
      setting(flags.token, "--token") ??
      fromProfile(credentials(early), "token") ??
      fromEnvironment(environment, TOKEN_VARIABLES) ??
      fromProfile(credentials(late), "token"),
    eventSecret:
      fromProfile(credentials(early), "eventSecret") ??
      fromEnvironment(environment, SECRET_VARIABLES) ??
      fromProfile(credentials(late), "eventSecret"),
  };
}

function belongsTo(profile: ChosenProfile | undefined, url: Setting | undefined): boolean {
  if (profile === undefined || url === undefined) return false;
  return profile.settings.url === undefined || parseBaseUrl(profile.settings.url) === parseBaseUrl(url.value);
}

function setting(value: string | undefined, from: string): Setting | undefined {
  // A line end behind it is what `kubectl create secret --from-file` or a .env file with CRLF leaves.
  const trimmed = value?.trim();
  return trimmed === undefined || trimmed === "" ? undefined : { value: trimmed, from };
}

function fromEnvironment(environment: Environment, names: readonly string[]): Setting | undefined {
  const name = names.find((candidate) => setting(environment[candidate], candidate) !== undefined);
  return name === undefined ? undefined : setting(environment[name], name);
}

function fromProfile(profile: ChosenProfile | undefined, key: keyof Profile): Setting | undefined {
  return profile === undefined ? undefined : setting(profile.settings[key], `profile ${profile.name}`);
}
