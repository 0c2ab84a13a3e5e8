/** The way to an app-server, whatever it is made of: JSON texts in both directions, and one end. */
import type { ProcessExit, TreeProof } from "../../contract/run-record.ts";
import type { CodexError } from "./errors.ts";

/** One message may carry a whole diff or the output of a command; none of this size is honest. */
export const MESSAGE_MAX_BYTES = 32 * 1024 * 1024;

export interface TransportEvents {
  /** One JSON text. */
  message(text: string): void;
  /** Once, and nothing comes after it. The reason is one for people, also when it was closed from here. */
  closed(error: CodexError): void;
}

/** What was left in the end. Both absent when the app-server is no process of ours. */
export interface TransportEnd {
  exit?: ProcessExit;
  /** Whether all that the app-server started is gone, too. */
  tree?: TreeProof;
}

export interface Transport {
  /** To be called at once, before anything is sent. */
  listen(events: TransportEvents): void;
  /** Never throws; what is sent after the end is dropped. */
  send(text: string): void;
  /** What has been sent and not been taken by the peer yet. */
  readonly bufferedBytes: number;
  /** Stops reading, until `resume`: the app-server waits in its next write. */
  pause(): void;
  resume(): void;
  /** Ends it for good, politely first. Idempotent; resolves with `ended`. */
  stop(): Promise<TransportEnd>;
  /** Resolves once, when nothing is left of it, whoever ended it. Never rejects. */
  readonly ended: Promise<TransportEnd>;
}
