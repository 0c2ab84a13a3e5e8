/**
 * Whether a step's output may be read on, decided in one place. A step that is not read waits in its next write, and
 * its silence does not count.
 *
 * B1. While the edge is connected, a step is read no faster than the edge takes it: the journal is no place to let
 *     output pile up that somebody wants to see.
 * B2. While the edge is away, everything is read and journaled, up to the bound of a run's output, behind which it is
 *     dropped with a note (`Attempt`): no step stops because the edge is away.
 * B3. While the journal cannot be written, what is read stands in memory: no more than a little, edge or no edge.
 */

const KIB = 1024;
const MIB = 1024 * KIB;

/** What may wait for the edge's acknowledgement while it is connected; more than may be on its way at once. */
export const BACKLOG_MAX_BYTES = 4 * MIB;
/** The same while the journal holds it in memory. */
export const HELD_MAX_BYTES = 256 * KIB;

export interface Backlog {
  /** Output, results and end that the edge has not acknowledged. */
  owedBytes: number;
  edgeConnected: boolean;
  journalWritable: boolean;
  /** Whether the step is read now: one that is not is read again only at half of what stopped it. */
  reading: boolean;
}

export function mayRead({ owedBytes, edgeConnected, journalWritable, reading }: Backlog): boolean {
  const most = !journalWritable ? HELD_MAX_BYTES : edgeConnected ? BACKLOG_MAX_BYTES : Infinity;
  return owedBytes <= (reading ? most : most / 2);
}
