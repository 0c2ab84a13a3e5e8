/**
 * The run sockets of an event's attempts: from its claim on, everything of a run comes and goes here, past the pool.
 *
 * R1. A socket says which attempt it speaks for by `claim` or `resume`; every other frame before that is refused.
 * R2. What a frame brings is committed before it is acknowledged (invariant 8).
 * R3. A frame without the live lease changes no run: output, result and end are kept as evidence (invariant 4).
 * R4. Opening and closing change no run (invariant 7); they only start and stop the lease clock.
 */
import { newLease } from "../../contract/ids.ts";
import type { FlowEvent } from "../../contract/flow-event.ts";
import { provesOffer } from "../../contract/claim-proof.ts";
import { FRAME_MAX_BYTES, OUTPUT_FRAME_MAX_BYTES, PROTOCOL_VERSION } from "../../contract/limits.ts";
import {
  claim,
  endAttempt,
  recordResult,
  recordSignalled,
  resume,
  type EndOptions,
} from "../../contract/run-lifecycle.ts";
import { noteSeen, noteUnseen } from "../../contract/run-clocks.ts";
import {
  isPooled,
  liveAttempt,
  type AttemptEnd,
  type AttemptRecord,
  type Reason,
  type RunRecord,
} from "../../contract/run-record.ts";
import { outputChunkView } from "../../contract/output-view.ts";
import type { EndFrame, OutputChunk, RunDown, RunUp } from "../../contract/runner-link.ts";
import { describeFaults, readRunFrame } from "../../contract/validate.ts";
import { acceptSocket, CLOSE, closeSocket, lastSeenAt, sendFrame } from "../kit/sockets.ts";
import {
  claimedBudget,
  countsUse,
  holdUse,
  progressWithUse,
  takeOver,
  withHeldUse,
  type HeldUse,
} from "./budget-use.ts";
import { acceptOutput } from "./rules.ts";
import {
  cancelFrames,
  framesOfChange,
  openingFrames,
  withDelivery,
  withRequest,
} from "./run-conversation.ts";
import type { OfferHolder } from "../runner-pool/calls.ts";
import type { EventStorage } from "./storage.ts";
import type { TailSockets } from "./tail-sockets.ts";

type ClaimFrame = Extract<RunUp, { type: "claim" }>;
type NumberedFrame = Extract<RunUp, { seq: number }>;

/** What hibernation keeps of a socket. `attempt` is set once it has claimed or resumed. */
interface Attachment extends HeldUse {
  kind: "run";
  n: number;
  openedAt: number;
}

/** What the object does for its sockets. */
export interface RunSocketHost {
  commit(run: RunRecord, before: RunRecord): Promise<void>;
  endOptions(now: number): EndOptions;
  /** Asks the run's pool for a thread; the answer names the run that writes to it instead. */
  leaseThread(run: RunRecord, threadId: string): Promise<{ heldBy?: string | undefined }>;
  /** Asks the run's pool which runner it has offered this attempt to. */
  holderOf(run: RunRecord, attempt: number): Promise<OfferHolder | undefined>;
}

const tagOf = (n: number): string => `run/${n}`;

export class RunSockets {
  readonly #ctx: DurableObjectState;
  readonly #storage: EventStorage;
  readonly #tails: TailSockets;
  readonly #host: RunSocketHost;

  constructor(ctx: DurableObjectState, storage: EventStorage, tails: TailSockets, host: RunSocketHost) {
    this.#ctx = ctx;
    this.#storage = storage;
    this.#tails = tails;
    this.#host = host;
  }

  accept(n: number): Response {
    const attachment: Attachment = { kind: "run", n, openedAt: Date.now() };
    return acceptSocket(this.#ctx, [tagOf(n)], attachment).response;
  }

  owns(socket: WebSocket): boolean {
    return (socket.deserializeAttachment() as { kind: string }).kind === "run";
  }

  async receive(socket: WebSocket, data: string | ArrayBuffer): Promise<void> {
    const read = readRunFrame(data);
    if (!read.ok) {
      this.#reject(socket, "bad_frame", describeFaults(read.faults));
      return;
    }
    const attachment = attachmentOf(socket);
    const run = this.#storage.readRun(attachment.n);
    if (run === undefined) {
      this.#refuse(socket, "unknown_run", "this edge has no such run");
      return;
    }
    await this.#handle(socket, attachment, await this.#heardFrom(attachment, run), read.value);
  }

  /** A socket that seemed dead speaks: whoever waited for its runner learns of it with the frame, not with the next look. */
  async #heardFrom({ n, attempt }: Attachment, run: RunRecord): Promise<RunRecord> {
    const seen = attempt === undefined ? run : noteSeen(run, attempt, Date.now());
    if (seen === run) return run;
    await this.#host.commit(seen, run);
    return this.#storage.readRun(n) ?? seen;
  }

  async #handle(socket: WebSocket, attachment: Attachment, run: RunRecord, frame: RunUp): Promise<void> {
    if (frame.type === "claim") return this.#claim(socket, attachment, run, frame);
    if (frame.type === "resume") return this.#resume(socket, attachment, run, frame);
    const { attempt } = attachment;
    if (attempt === undefined) {
      this.#reject(socket, "no_lease", "claim or resume an attempt first");
      return;
    }
    if (frame.type === "canceling") {
      const signalled = recordSignalled(run, attempt, frame.survivors, Date.now());
      if (signalled !== run) await this.#host.commit(signalled, run);
      return;
    }
    if (frame.type === "output") {
      this.#output(socket, run, attempt, frame.chunks);
      return;
    }
    if (frame.type === "thread") {
      await this.#thread(socket, run, attempt, frame.threadId);
      return;
    }
    if (frame.type === "used") {
      holdUse(socket, run, frame.used);
      return;
    }
    if (frame.type === "delivered") {
      const told = withDelivery(run, frame, Date.now());
      if (told !== run) await this.#host.commit(told, run);
      return;
    }
    await this.#numbered(socket, run, attempt, frame);
  }

  async #claim(
    socket: WebSocket,
    attachment: Attachment,
    asked: RunRecord,
    frame: ClaimFrame,
  ): Promise<void> {
    if (!(await this.#wasOffered(asked, frame))) {
      this.#refuse(
        socket,
        "not_offered",
        `attempt ${frame.attempt} of run ${asked.id} was not offered to runner ${frame.runnerId}: a runner claims only what its pool offers to it`,
      );
      return;
    }
    const now = Date.now();
    const event = this.#storage.readEvent();
    // The pool may have been asked: the run can be another by now.
    const run = this.#storage.readRun(asked.n) ?? asked;
    // Its output stands in rows of its own: a runner that has sent some has begun, and must resume, not begin again.
    if (this.#storage.readProgress(run.n, frame.attempt).ackedSeq > 0) {
      this.#refuse(
        socket,
        "not_claimable",
        `attempt ${frame.attempt} of run ${run.id} has begun: resume it with its lease`,
      );
      return;
    }
    const outcome = claim(run, { ...frame, lease: newLease() }, now);
    if (event === undefined || outcome.kind === "refused") {
      const why =
        outcome.kind === "refused" ? outcome.reason : { code: "unknown_event", message: "the event is gone" };
      this.#refuse(socket, why.code, why.message);
      return;
    }
    const claimed = outcome.fresh ? outcome.run : noteSeen(outcome.run, frame.attempt, now);
    const granted = this.#grantOf(claimed, outcome.attempt, event.event);
    const unstarted = whyNotToStart(claimed, granted);
    if (unstarted !== undefined) {
      // The runner asks for the lease, so that it cannot have started the step.
      const end = { tree: { empty: true, survivors: [] }, ...unstarted };
      const options = this.#host.endOptions(now);
      await this.#host.commit(endAttempt(claimed, frame.attempt, undefined, end, options), run);
      this.#refuse(socket, unstarted.error.code, unstarted.error.message);
      return;
    }
    if (claimed !== run) await this.#host.commit(claimed, run);
    this.#bind(socket, attachment, frame.attempt);
    this.#send(socket, granted);
    this.#tell([socket], [...openingFrames(claimed, frame.attempt), ...cancelFrames(claimed)]);
  }

  /** The answer to a claim: all that the runner needs to start the step. */
  #grantOf(
    run: RunRecord,
    { number, lease }: AttemptRecord,
    event: FlowEvent,
  ): Extract<RunDown, { type: "claimed" }> {
    return {
      type: "claimed",
      lease,
      follow: this.#tails.watched(run.n),
      ...countsUse(run),
      context: {
        runId: run.id,
        attempt: number,
        event,
        flow: run.flow,
        step: run.step.name,
        timeoutMs: run.policy.timeoutMs,
        silenceMs: run.policy.silenceMs,
        replay: run.origin === "replay",
        ...claimedBudget(this.withUse(run), number, this.#storage),
        ...(run.continues === undefined ? {} : { continues: run.continues }),
      },
    };
  }

  /**
   * Whether the claim answers an offer. The proof in the claim says so by itself. Without one, the pool is asked: an offer
   * to a runner of protocol 1, or of a run that an edge of protocol 1 has made, carries none. A runner that has shown
   * its key is always offered a proof, so that a claim in its name without one comes from somebody else.
   */
  async #wasOffered(run: RunRecord, { attempt, runnerId, proof }: ClaimFrame): Promise<boolean> {
    const { claimKey } = run;
    if (claimKey !== undefined && proof !== undefined)
      return provesOffer(claimKey, { attempt, runnerId, proof });
    // No pool offers a relayed session: only an older relay, which asked for no key, claims without one.
    if (!isPooled(run)) return claimKey === undefined;
    const holder = await this.#host.holderOf(run, attempt);
    return holder?.runnerId === runnerId && (claimKey === undefined || !holder.hasKey);
  }

  /** The record with what attempts have said that they used, and no row has yet. */
  withUse(run: RunRecord): RunRecord {
    return run.policy.budget === undefined ? run : withHeldUse(run, this.#ctx.getWebSockets(tagOf(run.n)));
  }

  /** A thread has one writer: only the live attempt may ask, and the pool knows who was first. */
  async #thread(socket: WebSocket, run: RunRecord, attempt: number, threadId: string): Promise<void> {
    if (liveAttempt(run)?.number !== attempt) {
      this.#send(socket, { type: "thread", threadId, granted: false });
      return;
    }
    const { heldBy } = await this.#host.leaseThread(run, threadId);
    this.#send(
      socket,
      heldBy === undefined
        ? { type: "thread", threadId, granted: true }
        : { type: "thread", threadId, granted: false, heldBy },
    );
  }

  /** Tells the runner of the live attempt what has changed for it. */
  changed(run: RunRecord, before: RunRecord): void {
    const live = liveAttempt(run);
    if (live !== undefined) this.#tell(this.#of(run.n, live.number), framesOfChange(before, run));
  }

  #tell(sockets: WebSocket[], frames: RunDown[]): void {
    for (const socket of sockets) for (const frame of frames) this.#send(socket, frame);
  }

  async #resume(
    socket: WebSocket,
    attachment: Attachment,
    run: RunRecord,
    frame: Extract<RunUp, { type: "resume" }>,
  ): Promise<void> {
    const outcome = resume(run, frame);
    if (outcome.kind === "refused") {
      this.#refuse(socket, outcome.reason.code, outcome.reason.message);
      return;
    }
    const seen = noteSeen(run, frame.attempt, Date.now());
    if (seen !== run) await this.#host.commit(seen, run);
    this.#bind(socket, attachment, frame.attempt);
    this.#send(socket, {
      type: "resumed",
      live: outcome.live,
      ackedSeq: this.#committedSeq(run, frame.attempt),
      cancel: outcome.live && run.cancel !== undefined,
      follow: this.#tails.watched(run.n),
      ...countsUse(run),
    });
    if (outcome.live) this.#tell([socket], openingFrames(seen, frame.attempt));
  }

  /** From now on this socket speaks for the attempt; an older one that still seems open does not. */
  #bind(socket: WebSocket, attachment: Attachment, attempt: number): void {
    const others = this.#of(attachment.n, attempt).filter((other) => other !== socket);
    const bound: Attachment = { ...attachment, attempt, ...takeOver(others) };
    socket.serializeAttachment(bound);
    for (const other of others) closeSocket(other, CLOSE.replaced, "replaced by a newer socket");
  }

  #committedSeq(run: RunRecord, attempt: number): number {
    return Math.max(
      this.#storage.readProgress(run.n, attempt).ackedSeq,
      run.attempts[attempt - 1]?.ackedSeq ?? 0,
    );
  }

  #output(socket: WebSocket, run: RunRecord, attempt: number, chunks: OutputChunk[]): void {
    const bytes = chunks.reduce((sum, chunk) => sum + new TextEncoder().encode(chunk.text).length, 0);
    if (bytes > OUTPUT_FRAME_MAX_BYTES) {
      this.#reject(
        socket,
        "bad_frame",
        `${bytes} bytes of output are more than a frame may hold (${OUTPUT_FRAME_MAX_BYTES})`,
      );
      return;
    }
    const others = run.attempts.filter((known) => known.number !== attempt);
    const used = others.reduce(
      (sum, known) => sum + this.#storage.readProgress(run.n, known.number).bytes,
      0,
    );
    const accepted = acceptOutput(
      progressWithUse(this.#storage.readProgress(run.n, attempt), socket),
      run.attempts[attempt - 1]?.ackedSeq ?? 0,
      chunks,
      used,
    );
    if ("gap" in accepted) {
      this.#reject(socket, "gap", `expected sequence number ${accepted.gap}; resume and go on from there`);
      return;
    }
    const { fresh, firstSeq, progress } = accepted;
    if (progress.ackedSeq >= firstSeq) this.#storage.appendOutput(run.n, attempt, firstSeq, fresh, progress);
    this.#send(socket, { type: "ack", seq: progress.ackedSeq });
    this.#tails.output(
      run.n,
      fresh.map((chunk) => outputChunkView(attempt, chunk)),
    );
  }

  /** A result, an end or a request: it has a number of its own, and comes after everything before it. */
  async #numbered(socket: WebSocket, run: RunRecord, attempt: number, frame: NumberedFrame): Promise<void> {
    const committed = this.#committedSeq(run, attempt);
    if (frame.seq > committed + 1) {
      this.#reject(socket, "gap", `expected sequence number ${committed + 1}; resume and go on from there`);
      return;
    }
    const now = Date.now();
    const changed = this.#recorded(run, attempt, frame, now);
    if (changed !== run) await this.#host.commit(changed, run);
    this.#send(socket, { type: "ack", seq: Math.max(frame.seq, committed) });
  }

  #recorded(run: RunRecord, attempt: number, frame: NumberedFrame, now: number): RunRecord {
    switch (frame.type) {
      case "result":
        return recordResult(run, attempt, frame.seq, frame.result, now);
      case "end":
        return endAttempt(run, attempt, frame.seq, endOf(frame), this.#host.endOptions(now));
      case "approval":
      case "approval_withdrawn":
        return withRequest(run, attempt, frame, now);
    }
  }

  /** The edge itself ended this attempt: whoever still works on it must stop. */
  leaseLost(run: RunRecord, before: RunRecord): void {
    const ended = liveAttempt(before);
    if (ended === undefined) return;
    const reason = run.attempts[ended.number - 1]?.error?.message ?? "the attempt is over";
    for (const socket of this.#of(run.n, ended.number)) this.#send(socket, { type: "lease_lost", reason });
  }

  /** Somebody began or ceased to watch. */
  follow(n: number, on: boolean): void {
    for (const socket of this.#ctx.getWebSockets(tagOf(n))) this.#send(socket, { type: "follow", on });
  }

  /** Has the runner send what it holds back of a live run's output, if nobody watches (then it holds back nothing). */
  askForOutput(run: RunRecord): void {
    const live = liveAttempt(run);
    if (live === undefined || this.#tails.watched(run.n)) return;
    for (const socket of this.#of(run.n, live.number))
      for (const on of [true, false]) this.#send(socket, { type: "follow", on });
  }

  /** Last sign of life of the live attempt (epoch ms), while its socket is open. */
  lastSeen(run: RunRecord): number | undefined {
    const live = liveAttempt(run);
    if (live === undefined) return undefined;
    const seen = this.#of(run.n, live.number).map((socket) =>
      lastSeenAt(this.#ctx, socket, attachmentOf(socket).openedAt),
    );
    return seen.length === 0 ? undefined : Math.max(...seen);
  }

  /** The socket is gone: the lease clock of its attempt begins, unless another socket speaks for it (R4). */
  async closed(socket: WebSocket, now: number): Promise<void> {
    const { n, attempt } = attachmentOf(socket);
    const run = this.#storage.readRun(n);
    if (run === undefined || attempt === undefined) return;
    if (this.#of(n, attempt).some((other) => other !== socket)) return;
    const unseen = withHeldUse(noteUnseen(run, attempt, now), [socket]);
    if (unseen !== run) await this.#host.commit(unseen, run);
  }

  #of(n: number, attempt: number): WebSocket[] {
    return this.#ctx
      .getWebSockets(tagOf(n))
      .filter((socket) => socket.readyState === WebSocket.OPEN && attachmentOf(socket).attempt === attempt);
  }

  #send(socket: WebSocket, frame: RunDown): void {
    sendFrame(socket, frame);
  }

  /** Final: the runner must not come back for this attempt. */
  #refuse(socket: WebSocket, code: string, message: string): void {
    this.#send(socket, { type: "refused", code, message });
    closeSocket(socket, CLOSE.over, code);
  }

  /** The frame is wrong, the attempt may be fine: the runner connects again and resumes. */
  #reject(socket: WebSocket, code: string, message: string): void {
    this.#send(socket, { type: "error", code, message: `${message} (protocol ${PROTOCOL_VERSION})` });
    closeSocket(socket, CLOSE.protocol, code);
  }
}

/** Why an attempt that is being claimed is not started; undefined when it is. */
function whyNotToStart(
  run: RunRecord,
  granted: object,
): { reason: AttemptEnd["reason"]; error: Reason } | undefined {
  if (run.cancel !== undefined)
    return {
      reason: "canceled",
      error: { code: "canceled", message: `run ${run.id} was canceled before its step began` },
    };
  const bytes = new TextEncoder().encode(JSON.stringify(granted)).length;
  if (bytes <= FRAME_MAX_BYTES) return undefined;
  return {
    reason: "refused",
    error: {
      code: "context_too_large",
      message: `the event is ${bytes} bytes with its run, more than the ${FRAME_MAX_BYTES} bytes that a runner is sent: send a smaller payload, or a link to it`,
    },
  };
}

function endOf({ reason, exit, tree, error }: EndFrame): AttemptEnd {
  return { reason, exit, tree, error };
}

function attachmentOf(socket: WebSocket): Attachment {
  return socket.deserializeAttachment() as Attachment;
}
