/**
 * The one reader of text files that people write: flow packages, prompts, schemas, event files and configuration.
 *
 * Editors on Windows begin a file with a byte order mark or write UTF-16. A parser that meets such a mark may take the
 * settings behind it for ordinary text, so the mark is removed here, and a file that is not UTF-8 is refused.
 */
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";

/** A file's bytes that are not UTF-8 text. The message continues a sentence that names the file. */
export class NotTextError extends Error {
  override readonly name = "NotTextError";
}

/** Text of a file without its byte order mark. @throws NotTextError */
export function decodeText(bytes: Uint8Array): string {
  const text = decodeUtf8(bytes);
  // UTF-16 without a byte order mark is valid UTF-8 in which every other character is NUL.
  if (text === undefined || text.includes("\0"))
    throw new NotTextError("is not UTF-8 text: save it as UTF-8 (PowerShell: Set-Content -Encoding utf8)");
  return text;
}

function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/** @throws NotTextError, and what the file system reports */
export async function readTextFile(path: string): Promise<string> {
  return decodeText(await readFile(path));
}

/** @throws NotTextError, and what the file system reports */
export function readTextFileSync(path: string): string {
  return decodeText(readFileSync(path));
}
