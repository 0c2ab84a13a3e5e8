/**
 * What chaos breaks: an edge with its state on disk and two runner agents, each behind a proxy of its own; all real
 * processes. Whatever is broken is brought back by the same call. Faults of one target follow one another; those of
 * different targets overlap. Every process, timer and socket here ends with `stop`.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { EdgeClient } from "../../client/http.ts";
import { Edge, startRunner, type Daemon } from "../../test/support/program.ts";
import { TcpProxy } from "../../test/support/tcp-proxy.ts";
import { AGENTS, type AgentName, type Fault } from "./plan.ts";
import type { Workload } from "./workload.ts";

const CAPACITY = 4;
/** Looks for a step to kill, and the pause between two of them. */
const STEP_TRIES = 20;
const STEP_LOOK_AGAIN_MS = 50;

interface Agent {
  name: AgentName;
  proxy: TcpProxy;
  daemon: Daemon;
}

/** What was done to whom, for the audit: a run may fail for these reasons and no other. */
export interface Deeds {
  /** Attempts whose step process was killed. */
  killedAttempts: string[];
  killedAgents: { name: AgentName; at: number }[];
}

export class Deployment {
  readonly deeds: Deeds = { killedAttempts: [], killedAgents: [] };
  readonly #folder: string;
  readonly #workload: Workload;
  readonly #edge: Edge;
  readonly #agents = new Map<AgentName, Agent>();
  #stopped = false;
  readonly #proxies: TcpProxy[] = [];
  /** The fault after which the next one of a target begins. */
  readonly #last = new Map<string, Promise<void>>();

  private constructor(folder: string, workload: Workload, edge: Edge) {
    this.#folder = folder;
    this.#workload = workload;
    this.#edge = edge;
  }

  static async start(folder: string, workload: Workload): Promise<Deployment> {
    const edge = await Edge.start({ state: join(folder, "state"), workspace: workload.workspace });
    const deployment = new Deployment(folder, workload, edge);
    try {
      for (const name of AGENTS) {
        const proxy = await TcpProxy.start(Number(new URL(edge.info.url).port));
        deployment.#proxies.push(proxy);
        const daemon = await deployment.#startAgent(name, proxy);
        deployment.#agents.set(name, { name, proxy, daemon });
      }
    } catch (error) {
      await deployment.stop();
      throw error;
    }
    return deployment;
  }

  client(): EdgeClient {
    return this.#edge.client();
  }

  /** Resolves when what was broken is back. Rejects when it does not come back. */
  async perform(fault: Fault): Promise<void> {
    if (this.#stopped) return;
    if (fault.kind === "kill step") {
      await this.#killStep(fault.pick);
      return;
    }
    const target =
      fault.kind === "kill edge" ? "edge" : `${isOfNetwork(fault) ? "network" : "agent"} ${fault.agent}`;
    const done = (this.#last.get(target) ?? Promise.resolve()).then(() => this.#break(fault));
    this.#last.set(
      target,
      done.catch(() => undefined),
    );
    await done;
  }

  async #break(fault: Exclude<Fault, { kind: "kill step" }>): Promise<void> {
    if (fault.kind === "kill edge") {
      await this.#edge.kill();
      await this.#edge.restart();
      return;
    }
    const agent = this.#agent(fault.agent);
    const { proxy } = agent;
    switch (fault.kind) {
      case "kill agent":
        await agent.daemon.kill();
        this.deeds.killedAgents.push({ name: agent.name, at: Date.now() });
        agent.daemon = await this.#startAgent(agent.name, proxy);
        return;
      case "freeze":
        agent.daemon.signal("SIGSTOP");
        await sleep(fault.forMs);
        agent.daemon.signal("SIGCONT");
        return;
      case "stall":
        proxy.hold();
        await sleep(fault.forMs);
        proxy.release();
        return;
      case "cut":
        proxy.cut();
        return;
      case "half-open":
        proxy.halve(fault.side);
    }
  }

  #agent(name: AgentName): Agent {
    const agent = this.#agents.get(name);
    if (agent === undefined) throw new Error(`there is no agent ${name}`);
    return agent;
  }

  async #startAgent(name: AgentName, proxy: TcpProxy): Promise<Daemon> {
    return startRunner(this.#edge, {
      name,
      url: proxy.url,
      workspace: this.#workload.workspace,
      journal: join(this.#folder, name),
      capacity: CAPACITY,
    });
  }

  /** kill -9 of one step that runs. When none comes along, nothing is killed. */
  async #killStep(pick: number): Promise<void> {
    for (let tries = 0; tries < STEP_TRIES; tries += 1) {
      const marks = await this.#workload.marks();
      const over = new Set(marks.filter(({ what }) => what === "end").map(({ attemptId }) => attemptId));
      const begun = marks.filter(({ what, attemptId }) => what === "start" && !over.has(attemptId));
      const bears = await Promise.all(begun.map(({ pid, attemptId }) => isAttempt(pid, attemptId)));
      const running = begun.filter((_mark, n) => bears[n]);
      const chosen = running[Math.floor(pick * running.length)];
      if (chosen !== undefined) {
        this.deeds.killedAttempts.push(chosen.attemptId);
        kill(chosen.pid);
        return;
      }
      await sleep(STEP_LOOK_AGAIN_MS);
    }
  }

  /** Ends everything that this has started. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.allSettled(this.#last.values());
    for (const { daemon } of this.#agents.values()) await daemon.kill();
    for (const proxy of this.#proxies) await proxy.close();
    await this.#edge.stop();
  }
}

/** A pid may be another process's by now. */
async function isAttempt(pid: number, attemptId: string): Promise<boolean> {
  const environment = await readFile(`/proc/${pid}/environ`, "latin1").catch(() => "");
  return environment.includes(`CODEX_FLOW_ATTEMPT_ID=${attemptId}\0`);
}

function isOfNetwork({ kind }: Fault): boolean {
  return kind === "cut" || kind === "half-open" || kind === "stall";
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It was faster.
  }
}
