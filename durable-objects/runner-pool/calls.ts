/** What other objects ask a pool, and its answers. */

/** The runner that a pool has offered an attempt to, or that runs it. */
export interface OfferHolder {
  runnerId: string;
  /** It has proved who it is by the key of its journal. */
  hasKey: boolean;
}
