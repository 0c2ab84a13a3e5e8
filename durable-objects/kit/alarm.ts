/**
 * The one alarm of an object. Each `setAlarm` is billed as a written row, so an alarm that already comes early
 * enough stays where it is: it fires, finds nothing due and is set to what is due next.
 *
 * Whoever owns an object's clock calls `wakeBy` whenever something new is due, and once more at the end of every
 * alarm handler (in `finally`: the platform gives a failing alarm up after six tries).
 */

/** Epoch ms. The platform refuses an alarm at 0 or before, which says "due ever since"; one that is past fires at once. */
const EARLIEST_AT = 1;

export class AlarmSchedule {
  readonly #storage: DurableObjectStorage;
  /** Epoch ms; null: none is set; undefined: not read yet. */
  #armedAt: number | null | undefined;

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
  }

  /** Reads what is armed. Call it at construction, where a lost alarm is noticed. */
  async load(): Promise<number | null> {
    this.#armedAt = await this.#storage.getAlarm();
    return this.#armedAt;
  }

  /** The alarm has fired: none is armed now. */
  fired(): void {
    this.#armedAt = null;
  }

  /**
   * Nothing is stored here, so that no alarm can be armed either. Asking for it would end the turn, and cut the first
   * writes from the alarm that they arm: two commits instead of one.
   */
  unused(): void {
    this.#armedAt = null;
  }

  /** Makes sure that the object wakes at `due` (epoch ms) or before. */
  async wakeBy(due: number | undefined): Promise<void> {
    if (due === undefined) return;
    if (this.#armedAt === undefined) await this.load();
    if (typeof this.#armedAt === "number" && this.#armedAt <= Math.max(due, EARLIEST_AT)) return;
    await this.moveTo(due);
  }

  /** Sets the alarm to `due`, also when that is later than before: only when nothing earlier is owed any more. */
  async moveTo(due: number): Promise<void> {
    const at = Math.max(due, EARLIEST_AT);
    if (this.#armedAt === at) return;
    this.#armedAt = at;
    try {
      await this.#storage.setAlarm(at);
    } catch (error) {
      // What is armed now, only the storage knows: the next call asks it.
      this.#armedAt = undefined;
      throw error;
    }
  }
}
