/** What holds where the configuration says nothing; by itself, so that --help can name it without reading anything. */

/** Runs at a time: steps of one checkout do not expect company. */
export const CAPACITY_DEFAULT_RUNS = 1;
