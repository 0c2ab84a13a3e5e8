/** Secrets of a development edge: made once for each state folder, kept in a file that only its owner can read. */
import { randomBytes } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

export interface DevSecrets {
  tokens: { admin: string; read: string; write: string; runner: string };
  /** Secret of `x-flow-signature-256`. */
  eventSecret: string;
}

const OWNER_ONLY = 0o600;

export async function devSecrets(state: string): Promise<DevSecrets> {
  const file = join(state, "secrets.json");
  try {
    return JSON.parse(await readFile(file, "utf8")) as DevSecrets;
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
  }
  const secret = (): string => randomBytes(24).toString("base64url");
  const made: DevSecrets = {
    tokens: { admin: secret(), read: secret(), write: secret(), runner: secret() },
    eventSecret: secret(),
  };
  await writeFile(file, JSON.stringify(made), { mode: OWNER_ONLY });
  return made;
}
