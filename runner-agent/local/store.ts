/** What local mode keeps of an event, and the one interface of the two places where it can be kept. */
import type { FlowEvent, Lineage } from "../../contract/flow-event.ts";
import type { OutputStream } from "../../contract/runner-link.ts";
import type { RunRecord } from "../../contract/run-record.ts";
import type { Owner } from "./owner.ts";

export interface LocalEvent {
  /** Shape of this document. */
  v: 1;
  key: string;
  event: FlowEvent;
  /** Epoch ms. */
  createdAt: number;
  /** Runs that it started when it came; later ones are replays. */
  matched: number;
  lineage: Lineage;
}

/** A run and who works on it: its one writer, as long as that process lives. */
export interface LocalRun {
  v: 1;
  /** Of its event. */
  key: string;
  owner: Owner;
  run: RunRecord;
}

/** Runs in the order of their numbers. */
export interface StoredEvent {
  event: LocalEvent;
  runs: LocalRun[];
}

export interface LocalOutput {
  attempt: number;
  kind: OutputStream;
  text: string;
  /** Epoch ms. */
  at: number;
}

/**
 * Every method either does the whole of what it says or nothing, also when the process is killed in the middle or
 * another one does the same. All throw LocalStateError.
 */
export interface LocalStore {
  /** Keeps an event together with its first runs. False when its id has runs already: then nothing is kept. */
  create(event: LocalEvent, runs: LocalRun[]): Promise<boolean>;
  /** Keeps an event that started nothing, until the same id does. */
  keepUnmatched(event: LocalEvent): Promise<void>;
  read(key: string): Promise<StoredEvent | undefined>;
  /** Adds a run under the first free number from `from` on; `make` gets the number. */
  add(key: string, from: number, make: (n: number) => LocalRun): Promise<LocalRun>;
  save(run: LocalRun): Promise<void>;
  /** Behind what is there. At once, so that it needs no queue. */
  appendOutput(of: LocalRun, output: LocalOutput): void;
  readOutput(of: LocalRun): Promise<LocalOutput[]>;
  /** All events, in no order. */
  list(): Promise<StoredEvent[]>;
}
