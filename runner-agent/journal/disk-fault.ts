/** Which errors of SQLite are the disk's, and may pass: everything else is a fault of ours and must be seen. */

/** Primary result codes of SQLite: https://www.sqlite.org/rescode.html */
const DISK_FAULTS = { readOnly: 8, inputOutput: 10, full: 13 };
const PRIMARY_CODE = 0xff;

/** What is wrong with the disk, in SQLite's words; undefined when the error is about something else. */
export function diskFault(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("errcode" in error)) return undefined;
  const code = Number(error.errcode) & PRIMARY_CODE;
  return Object.values(DISK_FAULTS).includes(code) ? error.message : undefined;
}
