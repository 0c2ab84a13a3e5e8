/**
 * Tables of an object, made when something is first written. A read of an object that holds nothing creates nothing:
 * it asks `exists` and answers "none".
 */

const VERSION_KEY = "schemaVersion";

export class SqlSchema {
  readonly #storage: DurableObjectStorage;
  readonly #migrations: readonly string[];
  readonly #versionKey: string;
  #version: number;

  /**
   * @param migrations one SQL text for each version, oldest first; only ever appended to
   * @param versionKey where the version is kept: of several groups of tables in one object, each has its own
   */
  constructor(storage: DurableObjectStorage, migrations: readonly string[], versionKey = VERSION_KEY) {
    this.#storage = storage;
    this.#migrations = migrations;
    this.#versionKey = versionKey;
    this.#version = storage.kv.get<number>(versionKey) ?? 0;
    // A newer program over older tables brings them up to date before anything reads them.
    if (this.#version > 0) this.ensure();
  }

  get exists(): boolean {
    return this.#version > 0;
  }

  /** Brings the tables to the newest version. Call it before a write. */
  ensure(): void {
    if (this.#version >= this.#migrations.length) return;
    this.#storage.transactionSync(() => {
      for (const migration of this.#migrations.slice(this.#version)) this.#storage.sql.exec(migration);
      this.#storage.kv.put(this.#versionKey, this.#migrations.length);
    });
    this.#version = this.#migrations.length;
  }

  /** Everything goes, the tables too; the next write makes them again. */
  async deleteAll(): Promise<void> {
    const deleted = this.#storage.deleteAll();
    this.#version = 0;
    await deleted;
  }
}
