/**
 * The profile file: urls and credentials by name. It holds secrets, so it is refused when anybody but its owner
 * can read it, and it is written whole, with mode 0600, under another name first.
 */
import { mkdir, open, rename, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, isAbsolute, join } from "node:path";
import { parse, stringify } from "smol-toml";
import { decodeText } from "../../catalog/text-file.ts";
import { UsageError } from "./problem.ts";

export interface Profile {
  url?: string | undefined;
  token?: string | undefined;
  eventSecret?: string | undefined;
}

const OWNER_ONLY_FILE = 0o600;
const OWNER_ONLY_FOLDER = 0o700;
const GROUP_AND_OTHERS = 0o077;
const PERMISSIONS = 0o777;

/** Key in the file → field. */
const FIELDS = { url: "url", token: "token", event_secret: "eventSecret" } as const;
type FileKey = keyof typeof FIELDS;

/** `$XDG_CONFIG_HOME/codex-flow/profiles.toml`; a relative XDG_CONFIG_HOME does not count. */
export function profilesPath(environment: Readonly<Record<string, string | undefined>>): string {
  const configured = environment["XDG_CONFIG_HOME"];
  const base = configured !== undefined && isAbsolute(configured) ? configured : join(homedir(), ".config");
  return join(base, "codex-flow", "profiles.toml");
}

/** All profiles by name; none when there is no file. Throws UsageError for a file that is not safe or not right. */
export async function readProfiles(path: string): Promise<Map<string, Profile>> {
  let content: { mode: number; text: string };
  try {
    content = await readWithMode(path);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return new Map();
    throw cannot("read", path, error);
  }
  if (process.platform !== "win32" && (content.mode & GROUP_AND_OTHERS) !== 0)
    throw new UsageError(
      `${path} holds secrets, and others than its owner can read or change it (mode ${content.mode.toString(8)})`,
      `chmod 600 ${path}`,
    );
  return parseProfiles(path, content.text);
}

/** One open file for both, so that what is read is what was looked at. */
async function readWithMode(path: string): Promise<{ mode: number; text: string }> {
  const file = await open(path, "r");
  try {
    const { mode } = await file.stat();
    return { mode: mode & PERMISSIONS, text: decodeText(await file.readFile()) };
  } finally {
    await file.close();
  }
}

function parseProfiles(path: string, text: string): Map<string, Profile> {
  let document: Record<string, unknown>;
  try {
    document = parse(text);
  } catch (error) {
    throw new UsageError(
      `${path} is not TOML: ${messageOf(error)}`,
      `correct it, or remove it and log in again`,
    );
  }
  const profiles = new Map<string, Profile>();
  for (const [name, table] of Object.entries(document)) {
    if (table === null || typeof table !== "object")
      throw new UsageError(`${path}: "${name}" stands outside of a profile`, `put it under [default]`);
    const profile: Profile = {};
    for (const [key, value] of Object.entries(table)) {
      if (!isFileKey(key) || typeof value !== "string")
        throw new UsageError(
          `${path}: [${name}] ${key} is not a text of a known name`,
          `a profile holds the texts ${Object.keys(FIELDS).join(", ")}`,
        );
      profile[FIELDS[key]] = value;
    }
    profiles.set(name, profile);
  }
  return profiles;
}

function isFileKey(key: string): key is FileKey {
  return Object.hasOwn(FIELDS, key);
}

/** Adds or replaces one profile. */
export async function writeProfile(path: string, name: string, profile: Profile): Promise<void> {
  const profiles = await readProfiles(path);
  profiles.set(name, profile);
  await writeProfiles(path, profiles);
}

/** Removes one profile. Returns whether it was there. */
export async function removeProfile(path: string, name: string): Promise<boolean> {
  const profiles = await readProfiles(path);
  if (!profiles.delete(name)) return false;
  await writeProfiles(path, profiles);
  return true;
}

async function writeProfiles(path: string, profiles: Map<string, Profile>): Promise<void> {
  const text = stringify(Object.fromEntries([...profiles].map(([key, value]) => [key, profileTable(value)])));
  const partial = `${path}.${process.pid}.partial`;
  try {
    await mkdir(dirname(path), { recursive: true, mode: OWNER_ONLY_FOLDER });
    await writeFile(partial, `${text}\n`, { flag: "wx", mode: OWNER_ONLY_FILE });
    await rename(partial, path);
  } catch (error) {
    await rm(partial, { force: true });
    throw cannot("write", path, error);
  }
}

function profileTable(profile: Profile): Record<string, string> {
  const table: Record<string, string> = {};
  for (const [key, field] of Object.entries(FIELDS)) {
    const value = profile[field];
    if (value !== undefined) table[key] = value;
  }
  return table;
}

function cannot(verb: string, path: string, error: unknown): UsageError {
  return new UsageError(`cannot ${verb} ${path}: ${messageOf(error)}`, `see that you may ${verb} it`);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
