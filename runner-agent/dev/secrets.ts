/** Secrets of a development edge: made once for each state folder, kept in a file that only its owner can read. */
import { randomBytes } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

export interface DevSecrets {
  tokens: { admin: string; read: string; write: string; runner: string };
  /** Secret of `x-flow-signature-256`. */
  eventSecret: string;
  /** Secret of Standard Webhooks senders, `whsec_…`. */
  webhookSecret: string;
}

const OWNER_ONLY = 0o600;
const SECRET_BYTES = 24;

export async function devSecrets(state: string): Promise<DevSecrets> {
  const file = join(state, "secrets.json");
  const kept = await readKept(file);
  const secret = (): string => randomBytes(SECRET_BYTES).toString("base64url");
  const secrets: DevSecrets = {
    tokens: { admin: secret(), read: secret(), write: secret(), runner: secret() },
    eventSecret: secret(),
    webhookSecret: `whsec_${randomBytes(SECRET_BYTES).toString("base64")}`,
    ...kept,
  };
  // Also a file of an earlier version gains the secrets that are new since then.
  if (Object.keys(secrets).some((name) => !(name in kept)))
    await writeFile(file, JSON.stringify(secrets), { mode: OWNER_ONLY });
  return secrets;
}

async function readKept(file: string): Promise<Partial<DevSecrets>> {
  try {
    return JSON.parse(await readFile(file, "utf8")) as Partial<DevSecrets>;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return {};
    throw error;
  }
}
