/** Events and runs for the life of this process. What is read is a copy, so that nobody changes what is kept. */
import { isTerminal } from "../../contract/run-lifecycle.ts";
import type { LocalEvent, LocalOutput, LocalRun, LocalStore, StoredEvent } from "./store.ts";

/** Events that are kept; beyond it the oldest go whose runs are over, with their output. */
const MEMORY_EVENTS_MAX = 500;

export class MemoryStore implements LocalStore {
  readonly #events = new Map<string, { event: LocalEvent; runs: Map<number, LocalRun> }>();
  readonly #output = new Map<string, LocalOutput[]>();

  create(event: LocalEvent, runs: LocalRun[]): Promise<boolean> {
    const known = this.#events.get(event.key);
    if (known !== undefined && known.runs.size > 0) return Promise.resolve(false);
    this.#keep(event, runs);
    return Promise.resolve(true);
  }

  keepUnmatched(event: LocalEvent): Promise<void> {
    if (!this.#events.has(event.key)) this.#keep(event, []);
    return Promise.resolve();
  }

  read(key: string): Promise<StoredEvent | undefined> {
    const known = this.#events.get(key);
    return Promise.resolve(known && structuredClone({ event: known.event, runs: [...known.runs.values()] }));
  }

  add(key: string, from: number, make: (n: number) => LocalRun): Promise<LocalRun> {
    const runs = this.#events.get(key)?.runs ?? new Map<number, LocalRun>();
    let n = from;
    while (runs.has(n)) n += 1;
    const made = make(n);
    runs.set(n, made);
    return Promise.resolve(made);
  }

  save(run: LocalRun): Promise<void> {
    this.#events.get(run.key)?.runs.set(run.run.n, run);
    return Promise.resolve();
  }

  appendOutput({ run }: LocalRun, output: LocalOutput): void {
    const known = this.#output.get(run.id);
    if (known === undefined) this.#output.set(run.id, [output]);
    else known.push(output);
  }

  readOutput({ run }: LocalRun): Promise<LocalOutput[]> {
    return Promise.resolve([...(this.#output.get(run.id) ?? [])]);
  }

  list(): Promise<StoredEvent[]> {
    const all = [...this.#events.values()].map(({ event, runs }) => ({ event, runs: [...runs.values()] }));
    return Promise.resolve(structuredClone(all));
  }

  #keep(event: LocalEvent, runs: LocalRun[]): void {
    this.#events.delete(event.key);
    this.#events.set(event.key, { event, runs: new Map(runs.map((run) => [run.run.n, run])) });
    for (const [key, old] of this.#events) {
      if (this.#events.size <= MEMORY_EVENTS_MAX) return;
      const olds = [...old.runs.values()];
      if (olds.some(({ run }) => !isTerminal(run.status))) continue;
      this.#events.delete(key);
      for (const { run } of olds) this.#output.delete(run.id);
    }
  }
}
