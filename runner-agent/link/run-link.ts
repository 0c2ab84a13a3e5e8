/**
 * One attempt, from its claim to the acknowledged end: the run socket, and the sending of what the journal holds.
 *
 *   opening ──claim()──▶ claiming ──claimed──▶ live ──end acknowledged──▶ done
 *                           │                   ├──lease lost──▶ late: the step is stopped, the rest is handed over
 *                           │                   │                as evidence
 *                           └──refused──▶ done  └──refused (the edge does not know the lease)──▶ done
 *
 * It never decides anything about the run; it sends what the journal says, from behind the last acknowledged number,
 * on every connection anew (invariant 8). The one exception is what the edge refuses as no frame of the protocol, twice at
 * the same place: it would do so for ever, and nothing behind it would arrive. Then the refusal is sent in its place.
 */
import { OUTPUT_FRAME_MAX_BYTES } from "../../contract/limits.ts";
import {
  RUN_NOT_FOUND,
  shortReason,
  type OutputChunk,
  type RunDown,
  type RunUp,
  type StepContext,
} from "../../contract/runner-link.ts";
import { readRunDown } from "../../contract/validate-down.ts";
import type { Conversation } from "../conversation.ts";
import type { JournaledAttempt, JournalEntry } from "../journal/entries.ts";
import type { Journal } from "../journal/journal.ts";
import { LinkSocket } from "./link-socket.ts";
import { outputDelayMs } from "./pace.ts";

/** Read from the journal at once: as much as may stand in one frame. */
const READ_ENTRIES = 4096;
/** What may be on its way without an acknowledgement; the rest waits in the journal. */
const IN_FLIGHT_MAX_BYTES = 2 * 1024 * 1024;
/** This much waiting output is sent without waiting for its time. */
const FLUSH_BYTES = 128 * 1024;

export interface RunLinkOptions {
  url: string;
  token: string;
  runnerId: string;
  runnerName: string;
  runId: string;
  attempt: number;
  /** Of an attempt that this box has already claimed; absent for a new one. */
  lease?: string;
  /** The proof of the offer that the claim answers; absent when the edge has sent none. */
  proof?: string | undefined;
  journal: Journal;
  conversation: Conversation;
  /** The claim is granted and journaled: start the step. */
  claimed(context: StepContext, lease: string): void;
  /** The edge wants the step stopped: a person canceled it, or the lease is lost. */
  stop(reason: "canceled" | "abandoned", why: string): void;
  /** The claim was refused for good: nothing was started, nothing will be sent. */
  refused(code: string, message: string): void;
  /** Everything is handed over (or nobody wants it): the attempt is no longer this box's concern. */
  done(): void;
  lost(why: string): void;
  /** The edge has taken something, or can (or cannot) be sent anything now. */
  moved(): void;
}

export class RunLink {
  readonly #options: RunLinkOptions;
  readonly #socket: LinkSocket<RunDown>;
  #lease: string | undefined;
  /** Nothing is sent before the edge has said from where to go on, on this connection. */
  #ready = false;
  /** Of this connection: the edge takes `used`. */
  #countsUse = false;
  #sentSeq = 0;
  #ackedSeq = 0;
  #sentMost = 0;
  #resent = 0;
  #bytesInFlight: { seq: number; bytes: number }[] = [];
  #waitingBytes = 0;
  #followed = false;
  /** Somebody has decided to run the attempt. */
  #mayClaim = false;
  /** The same on every connection: the edge hands a lease out again only to the claim that it knows. */
  readonly #claimNonce = crypto.randomUUID();
  /** The object may run an older program than the pool, in the seconds of a deploy: it takes only a claim without proof. */
  #claimsPlainly = false;
  #timer: NodeJS.Timeout | undefined;
  #signalled: number[] | undefined;
  /** What was acknowledged when the edge refused a frame the last time. */
  #refusedAt: number | undefined;
  /** Numbers of what the edge will not take, and its words. */
  readonly #refused = new Map<number, string>();
  /** Sequence number of the end, once it is journaled. */
  #endSeq: number | undefined;
  #finished = false;

  constructor(options: RunLinkOptions) {
    this.#options = options;
    this.#lease = options.lease;
    this.#socket = new LinkSocket({
      url: `${options.url}/runs/${options.runId}/attach`,
      token: options.token,
      opened: () => {
        this.#opened();
      },
      read: readRunDown,
      frame: (frame) => {
        this.#received(frame);
      },
      lost: (why) => {
        this.#ready = false;
        options.lost(why);
        options.moved();
      },
      refused: (status, code) => {
        // The event is gone at the edge (its retention is over): there is nobody to hand anything to. A 404 of anybody else
        // (a network that wants a log-in first, an address that is being moved) says nothing of the run.
        if (status === 404 && code === RUN_NOT_FOUND)
          this.#finish(() => {
            options.refused("unknown_run", "the edge has no such run");
          });
      },
    });
  }

  /** This box will run the attempt. The socket was on its way before that was known. */
  claim(): void {
    this.#mayClaim = true;
    if (this.#socket.connected) this.#opened();
  }

  /** The edge takes what is sent. */
  get ready(): boolean {
    return this.#ready && this.#socket.connected;
  }

  /** The journal has something new. `bytes` of output may wait for their time; a result or an end may not. */
  journaled(entry: { outputBytes: number } | "urgent"): void {
    if (entry === "urgent") this.#send();
    else {
      this.#waitingBytes += entry.outputBytes;
      if (this.#waitingBytes >= FLUSH_BYTES) this.#send();
      else this.#schedule();
    }
  }

  /** The step's tree has been signalled, and these processes of it are still seen. */
  signalled(survivors: number[]): void {
    this.#signalled = survivors;
    this.#tellSignalled();
  }

  /** Sends a frame that is no part of the journal. Without an open socket, or to an edge that takes none, it is lost. */
  tell(frame: RunUp): void {
    if (this.#ready && (frame.type !== "used" || this.#countsUse)) this.#sendFrame(frame);
  }

  /** Gives up sending; the journal keeps what is owed for the next start. */
  close(): void {
    clearTimeout(this.#timer);
    this.#finished = true;
    this.#socket.close("the runner is stopping");
  }

  #of(): JournaledAttempt {
    return { runId: this.#options.runId, attempt: this.#options.attempt, lease: this.#lease ?? "" };
  }

  #opened(): void {
    const { attempt } = this.#options;
    if (this.#lease === undefined && !this.#mayClaim) return;
    this.#sendFrame(
      this.#lease === undefined ? this.#claim() : { type: "resume", attempt, lease: this.#lease },
    );
  }

  #claim(): RunUp {
    const { attempt, runnerId, runnerName, proof } = this.#options;
    const proved = proof === undefined || this.#claimsPlainly ? {} : { proof, nonce: this.#claimNonce };
    return { type: "claim", attempt, runnerId, runnerName, ...proved };
  }

  #received(frame: RunDown): void {
    switch (frame.type) {
      case "claimed":
        this.#lease = frame.lease;
        this.#options.journal.begin(this.#of());
        this.#countsUse = frame.countsUse === true;
        this.#goOn(frame.follow);
        this.#options.claimed(frame.context, frame.lease);
        return;
      case "resumed":
        if (frame.live) this.#moveUnknownEnd(frame.ackedSeq);
        this.#countsUse = frame.countsUse === true;
        this.#goOn(frame.follow, frame.ackedSeq);
        if (!frame.live) this.#options.stop("abandoned", "the lease was lost while this runner was away");
        else if (frame.cancel) this.#options.stop("canceled", "the run was canceled");
        this.#tellSignalled();
        return;
      case "ack":
        this.#acked(frame.seq);
        return;
      case "cancel":
        this.#options.stop("canceled", frame.reason);
        return;
      case "lease_lost":
        this.#options.stop("abandoned", frame.reason);
        return;
      case "follow":
        this.#followed = frame.on;
        // What waits was given its time at the other pace. Somebody has come: it is wanted now.
        if (frame.on) this.#send();
        else if (this.#timer !== undefined) {
          this.#unschedule();
          this.#schedule();
        }
        return;
      case "decided":
      case "message":
      case "budget":
      case "thread":
        this.#options.conversation.heard(frame);
        return;
      case "refused":
        this.#finish(() => {
          if (this.#lease !== undefined) this.#options.stop("abandoned", frame.message);
          this.#options.refused(frame.code, frame.message);
        });
        return;
      case "error":
        // The edge closes this socket after it; the next one resumes.
        if (frame.code === "bad_frame") this.#frameRefused(frame.message);
        if (frame.code === "bad_frame" && this.#lease === undefined)
          this.#claimsPlainly = !this.#claimsPlainly;
        this.#options.lost(`${frame.code}: ${frame.message}`);
    }
  }

  /**
   * The attempt lives, so the edge has no end of it. One under a number that the edge knows was written by a life that
   * did not know what the one before had sent and not written (J5): it comes again, behind that.
   */
  #moveUnknownEnd(ackedSeq: number): void {
    const { journal } = this.#options;
    const endSeq = journal.endSeq(this.#of());
    if (endSeq === undefined || endSeq > ackedSeq) return;
    const [entry] = journal.pending(this.#of(), endSeq - 1, 1);
    journal.ack(this.#of(), ackedSeq);
    if (entry?.kind === "end") journal.appendEnd(this.#of(), entry.end);
  }

  /** Parts of the run, each a number of the journal's: sent at least once, taken by the edge, sent again. */
  get delivery(): { sent: number; acknowledged: number; resent: number } {
    return { sent: this.#sentMost, acknowledged: this.#ackedSeq, resent: this.#resent };
  }

  #goOn(followed: boolean, ackedSeq = 0): void {
    this.#ready = true;
    this.#followed = followed;
    this.#resent += Math.max(0, this.#sentSeq - ackedSeq);
    this.#sentSeq = ackedSeq;
    this.#bytesInFlight = [];
    // An earlier connection, or an earlier life, may have handed the end over without hearing of it.
    this.#endSeq = this.#options.journal.endSeq(this.#of());
    this.#acked(ackedSeq);
    this.#send();
    this.#options.conversation.connected();
    this.#options.moved();
  }

  /** It takes frames in their order, so it is the first one that is not acknowledged. */
  #frameRefused(why: string): void {
    const first = this.#ackedSeq + 1;
    const last = this.#bytesInFlight[0]?.seq ?? first;
    if (this.#refusedAt === this.#ackedSeq)
      for (let seq = first; seq <= last; seq += 1) this.#refused.set(seq, why);
    this.#refusedAt = this.#ackedSeq;
  }

  #acked(seq: number): void {
    if (seq > this.#ackedSeq) {
      this.#ackedSeq = seq;
      const handedOver = this.#endSeq !== undefined && seq >= this.#endSeq;
      if (handedOver) {
        this.#finish(() => {
          this.#options.done();
        });
        return;
      }
      this.#options.journal.ack(this.#of(), seq);
    }
    const full = this.#inFlight() >= IN_FLIGHT_MAX_BYTES;
    this.#bytesInFlight = this.#bytesInFlight.filter((frame) => frame.seq > seq);
    if (full) this.#send();
    this.#options.moved();
  }

  #finish(then: () => void): void {
    if (this.#finished) return;
    this.#finished = true;
    clearTimeout(this.#timer);
    this.#options.journal.finish(this.#of());
    this.#socket.close("handed over");
    then();
  }

  #schedule(): void {
    this.#timer ??= setTimeout(() => {
      this.#send();
    }, outputDelayMs(this.#followed));
  }

  #unschedule(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** Sends what the journal holds behind what was sent, as far as the window allows. */
  #send(): void {
    this.#unschedule();
    this.#waitingBytes = 0;
    while (this.#ready && !this.#finished && this.#inFlight() < IN_FLIGHT_MAX_BYTES) {
      const entries = this.#options.journal.pending(this.#of(), this.#sentSeq, READ_ENTRIES);
      if (entries.length === 0) return;
      for (const frame of frames(entries.map((entry) => this.#acceptable(entry)))) {
        if (this.#inFlight() >= IN_FLIGHT_MAX_BYTES || !this.#sendFrame(frame.frame)) return;
        this.#sentSeq = frame.seq;
        this.#sentMost = Math.max(this.#sentMost, frame.seq);
        if (frame.frame.type === "end") this.#endSeq = frame.seq;
        this.#bytesInFlight.push({ seq: frame.seq, bytes: frame.bytes });
      }
    }
  }

  /** The entry, or what is sent in its place. */
  #acceptable(entry: JournalEntry): JournalEntry {
    const seq = entry.kind === "output" ? entry.chunk.seq : entry.seq;
    const why = this.#refused.get(seq);
    if (why === undefined) return entry;
    if (entry.kind === "end") {
      const { reason, tree } = entry.end;
      const error = { code: "end_refused", message: `the edge refused what was said of the end: ${why}` };
      return { kind: "end", seq, end: { reason, tree, error: shortReason(error) } };
    }
    const text = `the edge refused this ${entry.kind.replace("_", " ")}: ${why}\n`;
    return { kind: "output", chunk: { seq, stream: "system", text, at: Date.now() } };
  }

  #inFlight(): number {
    return this.#bytesInFlight.reduce((sum, frame) => sum + frame.bytes, 0);
  }

  #tellSignalled(): void {
    if (this.#signalled !== undefined && this.#ready)
      this.#sendFrame({ type: "canceling", survivors: this.#signalled });
  }

  #sendFrame(frame: RunUp): boolean {
    return this.#socket.send(frame);
  }
}

/** Groups consecutive chunks of output into frames of a bounded size; everything else is a frame of its own. */
export function frames(entries: JournalEntry[]): { frame: RunUp; seq: number; bytes: number }[] {
  const result: { frame: RunUp; seq: number; bytes: number }[] = [];
  let chunks: OutputChunk[] = [];
  let bytes = 0;
  const flush = (): void => {
    const last = chunks.at(-1);
    if (last !== undefined) result.push({ frame: { type: "output", chunks }, seq: last.seq, bytes });
    chunks = [];
    bytes = 0;
  };
  for (const entry of entries) {
    if (entry.kind === "output") {
      const size = Buffer.byteLength(entry.chunk.text);
      if (bytes + size > OUTPUT_FRAME_MAX_BYTES) flush();
      chunks.push(entry.chunk);
      bytes += size;
      continue;
    }
    flush();
    const { seq } = entry;
    const frame = frameOf(entry);
    result.push({ frame, seq, bytes: JSON.stringify(frame).length });
  }
  flush();
  return result;
}

function frameOf(entry: Exclude<JournalEntry, { kind: "output" }>): RunUp {
  const { seq } = entry;
  switch (entry.kind) {
    case "result":
      return { type: "result", seq, result: entry.result };
    case "approval":
      return { type: "approval", seq, request: entry.request };
    case "approval_withdrawn":
      return { type: "approval_withdrawn", seq, id: entry.id };
    case "end":
      return { type: "end", seq, ...entry.end };
  }
}
