/** Positions in a run's output: `<attempt>.<seq>`, in the order in which things were printed. */

export interface OutputCursor {
  attempt: number;
  seq: number;
}

export const OUTPUT_START: OutputCursor = { attempt: 0, seq: 0 };
const CURSOR = /^([0-9]{1,6})\.([0-9]{1,12})$/;

export function formatCursor(cursor: OutputCursor): string {
  return `${cursor.attempt}.${cursor.seq}`;
}

/** Undefined for a text that is no cursor; an absent one is the start. */
export function parseCursor(text: string | undefined): OutputCursor | undefined {
  if (text === undefined || text === "") return OUTPUT_START;
  const match = CURSOR.exec(text);
  return match === null ? undefined : { attempt: Number(match[1]), seq: Number(match[2]) };
}
