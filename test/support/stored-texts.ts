/**
 * All texts that a program has stored in a folder, to look for what must not be there: each file's bytes as they are, and
 * what SQLite's values hold when they are read as the edge's runtime reads them, decompressed. It looks at a copy, so
 * the program may go on.
 */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { tmpdir } from "node:os";
import { deserialize } from "node:v8";
import { brotliDecompressSync, gunzipSync } from "node:zlib";

export function storedTexts(folder: string): string {
  const copy = mkdtempSync(join(tmpdir(), "stored-texts-"));
  try {
    cpSync(folder, copy, {
      recursive: true,
      filter: (path) => statSync(path, { throwIfNoEntry: false }) !== undefined,
    });
    const files = readdirSync(copy, { recursive: true, encoding: "utf8" })
      .map((path) => join(copy, path))
      .filter((path) => statSync(path).isFile());
    // Before SQLite opens its own, and takes their logs away.
    const whole = files.map((path) => readFileSync(path, "utf8"));
    const values = files.filter((path) => path.endsWith(".sqlite")).flatMap(valuesOf);
    return [...whole, ...values.flatMap(textsOf)].join("\n");
  } finally {
    rmSync(copy, { recursive: true });
  }
}

function valuesOf(file: string): unknown[] {
  const database = new DatabaseSync(file);
  try {
    const tables = database.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").all();
    return tables.flatMap(({ name }) => {
      const rows = database.prepare(`SELECT * FROM "${String(name)}"`);
      rows.setReadBigInts(true);
      return rows.all().flatMap((row) => Object.values(row));
    });
  } finally {
    database.close();
  }
}

function textsOf(value: unknown): string[] {
  if (typeof value === "string") return [value];
  if (value instanceof Uint8Array) {
    // What it is not, it cannot be read as.
    return [deserialize, brotliDecompressSync, gunzipSync].flatMap((read) => {
      try {
        const inside: unknown = read(value);
        return inside instanceof Uint8Array ? [Buffer.from(inside).toString()] : textsOf(inside);
      } catch {
        return [];
      }
    });
  }
  return value !== null && typeof value === "object" ? Object.values(value).flatMap(textsOf) : [];
}
