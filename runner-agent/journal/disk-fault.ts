/** Which errors of SQLite are the disk's, and may pass: everything else is a fault of ours and must be seen. */

/** Primary result codes of SQLite: https://www.sqlite.org/rescode.html */
const DISK_FAULTS = { readOnly: 8, inputOutput: 10, full: 13 };
const PRIMARY_CODE = 0xff;

/** What is wrong with the disk, in SQLite's words; undefined when the error is about something else. */
export function diskFault(error: unknown): string | undefined {
  const code = sqliteCode(error);
  return error instanceof Error && code !== undefined && Object.values(DISK_FAULTS).includes(code)
    ? error.message
    : undefined;
}

/** The primary result code of an error of SQLite; undefined for any other error. */
export function sqliteCode(error: unknown): number | undefined {
  return error instanceof Error && "errcode" in error ? Number(error.errcode) & PRIMARY_CODE : undefined;
}
