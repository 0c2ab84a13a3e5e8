/**
 * A runner that does what it is told: it speaks the frames of contract/runner-link over real sockets and runs nothing.
 */
import type { Flow } from "../../../contract/flow-manifest.ts";
import { PROTOCOL_VERSION, RUNNER_KEY_MIN_CHARS } from "../../../contract/limits.ts";
import type {
  ControlDown,
  ControlUp,
  HelloFrame,
  OutputChunk,
  RunDown,
  RunUp,
  StepContext,
} from "../../../contract/runner-link.ts";
import { flows } from "./flow-catalog.ts";
import { claimOf } from "./api.ts";
import { openSocket, Socket } from "./socket.ts";

/** The key of the journal of a runner. */
export function keyOf(runnerId: string): string {
  return `the key of ${runnerId}`.padEnd(RUNNER_KEY_MIN_CHARS, ".");
}

function digests(deployed: Flow[]): HelloFrame["flows"] {
  return deployed.map(({ name, version, digest }) => ({ name, version, digest }));
}

export class FakeRunner {
  readonly id: string;
  /** Another one for each start of the agent. */
  process: string = crypto.randomUUID();
  readonly control: Socket<ControlDown>;

  constructor(id: string, control: Socket<ControlDown>) {
    this.id = id;
    this.control = control;
  }

  /** Connects to a pool and is welcome there. */
  static async connect(pool: string, more: Partial<HelloFrame> = {}): Promise<FakeRunner> {
    const control = await Socket.to<ControlDown>(`/runners/connect?pool=${pool}`);
    const runnerId = more.runnerId ?? `runner-${crypto.randomUUID()}`;
    const runner = new FakeRunner(runnerId, control);
    runner.process = more.process ?? runner.process;
    runner.hello({ ...more, runnerId });
    await control.next("welcome");
    return runner;
  }

  hello(more: Partial<HelloFrame> = {}): void {
    this.tell({
      type: "hello",
      protocol: PROTOCOL_VERSION,
      runnerId: this.id,
      key: keyOf(this.id),
      process: this.process,
      name: `name of ${this.id}`.slice(0, 64),
      version: "0.0.0-test",
      labels: [],
      capacity: 1,
      flows: digests(flows),
      active: [],
      ...more,
    });
  }

  tell(frame: ControlUp): void {
    this.control.sendRaw(JSON.stringify(frame));
  }

  /** Waits for the offer of a run and accepts it. */
  async take(runId: string): Promise<{ runId: string; attempt: number }> {
    const { attempt } = await this.control.next("offer", (offer) => offer.runId === runId);
    this.tell({ type: "accept", runId, attempt });
    return { runId, attempt };
  }

  decline(runId: string, attempt: number, reason: Extract<ControlUp, { type: "decline" }>["reason"]): void {
    this.tell({ type: "decline", runId, attempt, reason });
  }

  /** Takes the offer of a run and claims it. */
  async start(runId: string): Promise<RunLink> {
    const { attempt } = await this.take(runId);
    return RunLink.claim(runId, attempt, this.id);
  }

  /** Takes a run and ends it with a result. */
  async complete(runId: string, result: Parameters<RunLink["result"]>[0]): Promise<void> {
    const link = await this.start(runId);
    await link.complete(result);
    await link.close();
  }
}

/** The run socket of one attempt. */
export class RunLink extends Socket<RunDown> {
  #context: StepContext | undefined;
  lease = "";
  attempt = 0;
  seq = 0;

  static async attach(runId: string): Promise<RunLink> {
    return new RunLink(await openSocket(`/runs/${runId}/attach`));
  }

  static async claim(runId: string, attempt: number, runnerId: string): Promise<RunLink> {
    const link = await RunLink.attach(runId);
    link.attempt = attempt;
    link.tell(await claimOf(runId, attempt, runnerId));
    const { lease, context } = await link.next("claimed");
    link.lease = lease;
    link.#context = context;
    return link;
  }

  static async resume(
    runId: string,
    attempt: number,
    lease: string,
  ): Promise<{ link: RunLink; resumed: Extract<RunDown, { type: "resumed" }> }> {
    const link = await RunLink.attach(runId);
    Object.assign(link, { attempt, lease });
    link.tell({ type: "resume", attempt, lease });
    const resumed = await link.next("resumed");
    link.seq = resumed.ackedSeq;
    return { link, resumed };
  }

  /** What the step was given with the claim. */
  get context(): StepContext {
    if (this.#context === undefined) throw new Error("this socket has claimed nothing");
    return this.#context;
  }

  tell(frame: RunUp): void {
    this.sendRaw(JSON.stringify(frame));
  }

  /** Sends lines as one frame of output and waits for its acknowledgement. */
  async print(...lines: string[]): Promise<void> {
    this.tell({ type: "output", chunks: lines.map((text) => this.chunk(text)) });
    await this.acked(this.seq);
  }

  /** The next chunk of this attempt. */
  chunk(text: string, stream: OutputChunk["stream"] = "stdout"): OutputChunk {
    this.seq += 1;
    return { seq: this.seq, stream, text, at: Date.now() };
  }

  async acked(seq: number): Promise<void> {
    await this.next("ack", (ack) => ack.seq >= seq);
  }

  async result(
    result: Record<string, unknown> & { status: Extract<RunUp, { type: "result" }>["result"]["status"] },
  ): Promise<void> {
    this.seq += 1;
    this.tell({ type: "result", seq: this.seq, result });
    await this.acked(this.seq);
  }

  async end(more: Partial<Extract<RunUp, { type: "end" }>> = {}): Promise<void> {
    this.seq += 1;
    this.tell({
      type: "end",
      seq: this.seq,
      reason: "exited",
      exit: { code: 0, signal: null },
      tree: { empty: true, survivors: [] },
      ...more,
    });
    await this.acked(this.seq);
  }

  async complete(result: Parameters<RunLink["result"]>[0] = { status: "completed" }): Promise<void> {
    await this.result(result);
    await this.end();
  }
}
