/**
 * The control socket: tells a pool what this box is and can take, and brings its offers. It holds no run: losing it
 * costs the offers that were not answered, and nothing else.
 */
import { PROTOCOL_OLDEST, PROTOCOL_VERSION } from "../../contract/limits.ts";
import {
  JOURNAL_COPIED,
  type ControlDown,
  type ControlUp,
  type DeployedFiles,
  type FlowDigest,
} from "../../contract/runner-link.ts";
import { readControlDown } from "../../contract/validate-down.ts";
import { LinkSocket } from "./link-socket.ts";

/** What the runner says of itself whenever the socket opens. */
export interface RunnerIdentity {
  runnerId: string;
  /** Secret of the journal that the id belongs to. */
  key: string;
  /** Random, one for each start of the agent. */
  process: string;
  name: string;
  version: string;
  labels: string[];
  capacity: number;
}

export type Offer = Extract<ControlDown, { type: "offer" }>;
export type DeclineReason = Extract<ControlUp, { type: "decline" }>["reason"];

export interface ControlLinkOptions {
  url: string;
  token: string;
  pool: string;
  identity: RunnerIdentity;
  /** Read at every hello. */
  flows(): FlowDigest[];
  active(): { runId: string; attempt: number }[];
  draining(): boolean;
  /** Why this runner can take nothing now, for people; undefined when it can. */
  trouble(): string | undefined;
  offered(offer: Offer): void;
  /** An operator wants this runner to finish and leave; may be said several times. */
  drainAsked(): void;
  /** The files of a flow that this edge has deployed; comes behind `welcomed`, once for each flow. */
  onDeployedFiles(deployed: DeployedFiles): void;
  /** The edge takes this runner. */
  welcomed(): void;
  lost(why: string): void;
  /** The edge will never take this runner as it is: bad credentials, another protocol. */
  rejected(message: string, code: string): void;
}

/** Errors that the edge answers to a hello of a newer protocol than it speaks. */
const TOO_NEW_CODES = ["protocol", "bad_frame"];
/** Errors after which another try with the same hello cannot succeed. */
const FATAL_CODES = [...TOO_NEW_CODES, "too_many_runners", "runner_key", JOURNAL_COPIED];

export class ControlLink {
  readonly #options: ControlLinkOptions;
  readonly #socket: LinkSocket<ControlDown>;
  #welcomedOnce = false;
  /** The edge has taken the hello of this connection. */
  #welcomed = false;
  /** The edge may have been set back to the protocol before this one: then the next hello is one of that protocol. */
  #speaksOlder = false;

  constructor(options: ControlLinkOptions) {
    this.#options = options;
    this.#socket = new LinkSocket({
      url: `${options.url}/runners/connect?pool=${encodeURIComponent(options.pool)}`,
      token: options.token,
      opened: () => {
        this.#welcomed = false;
        this.#hello();
      },
      read: readControlDown,
      frame: (frame) => {
        this.#received(frame);
      },
      // The pool offers nothing to a runner that is silent, and no heartbeat wakes it: this frame does.
      woke: () => {
        this.announceCapacity();
      },
      lost: options.lost,
      refused: (status) => {
        // What has worked may be on its way back (a rotation, a deploy); what never did is wrong.
        if (this.#welcomedOnce) return;
        if (status === 401 || status === 403)
          options.rejected(
            `the edge refuses this token (${status}): give a runner token with --token`,
            "token",
          );
        else if (status === 400 || status === 404)
          options.rejected(`the edge answers ${status} at ${options.url}: check --url and --pool`, "address");
      },
    });
  }

  get connected(): boolean {
    return this.#socket.connected;
  }

  #hello(): void {
    const { identity, flows, active, draining } = this.#options;
    const { key, process, ...described } = identity;
    this.#send({
      type: "hello",
      ...(this.#speaksOlder ? { protocol: PROTOCOL_OLDEST } : { protocol: PROTOCOL_VERSION, key, process }),
      ...described,
      ...this.#capacity(),
      flows: flows(),
      active: active(),
      draining: draining(),
    });
  }

  #received(frame: ControlDown): void {
    // What a newer edge says beyond this is not for us.
    switch (frame.type) {
      case "offer":
        this.#options.offered(frame);
        break;
      case "files":
        this.#options.onDeployedFiles(frame);
        break;
      case "drain":
        this.#options.drainAsked();
        break;
      case "welcome":
        this.#welcomedOnce = true;
        this.#welcomed = true;
        // The next connection may reach an edge that has been brought up to date.
        this.#speaksOlder = false;
        this.#options.welcomed();
        break;
      case "error":
        if (TOO_NEW_CODES.includes(frame.code) && !this.#welcomed && !this.#speaksOlder)
          this.#speaksOlder = true;
        else if (FATAL_CODES.includes(frame.code)) this.#options.rejected(frame.message, frame.code);
    }
  }

  accept({ runId, attempt }: { runId: string; attempt: number }): void {
    this.#send({ type: "accept", runId, attempt });
  }

  decline({ runId, attempt }: { runId: string; attempt: number }, reason: DeclineReason): void {
    this.#send({ type: "decline", runId, attempt, reason });
  }

  announceFlows(flows: FlowDigest[]): void {
    this.#send({ type: "flows", flows });
  }

  announceCapacity(): void {
    this.#send({ type: "capacity", ...this.#capacity() });
  }

  #capacity(): { capacity: number; trouble?: string } {
    const trouble = this.#options.trouble();
    return trouble === undefined ? { capacity: this.#options.identity.capacity } : { capacity: 0, trouble };
  }

  announceDrain(): void {
    this.#send({ type: "drain" });
  }

  /** Leaves for good: the pool forgets this runner. */
  leave(): void {
    this.#send({ type: "goodbye" });
    this.#socket.close("goodbye");
  }

  close(): void {
    this.#socket.close("closing");
  }

  #send(frame: ControlUp): void {
    this.#socket.send(frame);
  }
}
