/**
 * A board on the storage of a real object, with the delivery behind it and a clock that a test may move. Event objects are the
 * real ones; that a run has changed is said by the test, as often as it likes. `crash` leaves the rows and nothing else.
 *
 * Everything happens inside of the object (`inside`), the test stays outside: sockets of one cannot be used in the other.
 */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import type { ChatPlatform, ChatPlace } from "../../../contract/chat/place.ts";
import type { ChannelFollows, RunNotice } from "../../../durable-objects/chat-outbox/calls.ts";
import type { BoardOptions } from "../../../durable-objects/chat-outbox/board/board.ts";
import { RunBoard } from "../../../durable-objects/chat-outbox/board/run-board.ts";
import type { Platform } from "../../../durable-objects/chat-outbox/delivery/platform.ts";
import { discordPlatform } from "../../../durable-objects/chat-outbox/discord/platform.ts";
import { telegramPlatform } from "../../../durable-objects/chat-outbox/telegram/platform.ts";
import type { DiscordFake, TelegramFake } from "./chat-fakes.ts";
import { TestOutbox } from "./outbox.ts";

/** What lives inside of the object. */
export class BoardLife {
  readonly outbox: TestOutbox;
  board: RunBoard;
  /** When it asked to be woken, in order. */
  readonly wakes: number[] = [];
  readonly #platform: ChatPlatform;
  readonly #more: Partial<BoardOptions>;

  constructor(outbox: TestOutbox, platform: ChatPlatform, more: Partial<BoardOptions> = {}) {
    this.outbox = outbox;
    this.#more = more;
    this.#platform = platform;
    this.board = this.#newBoard();
  }

  #newBoard(): RunBoard {
    return new RunBoard({
      storage: this.outbox.storage,
      delivery: this.outbox.delivery,
      env,
      platform: this.#platform,
      now: this.outbox.now,
      wakeBy: (due) => {
        this.wakes.push(due);
      },
      said: () => undefined,
      read: (job) => this.outbox.sender.read(job),
      ...this.#more,
    });
  }

  crash(): void {
    this.outbox.restart();
    this.board = this.#newBoard();
  }

  /** Epoch ms from now on; undefined: nothing is due ever. */
  get dueIn(): number | undefined {
    const due = this.board.due(this.outbox.now());
    return due === undefined ? undefined : due - this.outbox.now();
  }

  rows(table: "shown_run" | "showing"): number {
    const { sql } = this.outbox.storage;
    const exists = sql.exec("SELECT name FROM sqlite_master WHERE name = ?", table).toArray().length > 0;
    return exists ? sql.exec(`SELECT * FROM ${table}`).toArray().length : 0;
  }
}

let serial = 0;

export class TestBoard {
  readonly #stub: DurableObjectStub;
  readonly #platform: ChatPlatform;
  readonly #speaks: Platform;
  readonly #more: Partial<BoardOptions>;
  #life: BoardLife | undefined;

  private constructor(name: ChatPlatform, speaks: Platform, more: Partial<BoardOptions> = {}) {
    this.#more = more;
    serial += 1;
    this.#stub = env.CHAT_OUTBOXES.getByName(`${name}:board-${serial}`) as unknown as DurableObjectStub;
    this.#platform = name;
    this.#speaks = speaks;
  }

  /** @param more options of the board that are not the usual ones */
  static onDiscord(fake: DiscordFake, more: Partial<BoardOptions> = {}): TestBoard {
    return new TestBoard("discord", discordPlatform(fake), more);
  }

  static onTelegram(fake: TelegramFake): TestBoard {
    return new TestBoard("telegram", telegramPlatform(fake));
  }

  async inside<T>(act: (life: BoardLife) => T | Promise<T>): Promise<T> {
    return runInDurableObject(this.#stub, async (_instance, { storage }) => {
      this.#life ??= new BoardLife(new TestOutbox(storage, this.#speaks), this.#platform, this.#more);
      return act(this.#life);
    });
  }

  async crash(): Promise<void> {
    await this.inside((life) => {
      life.crash();
    });
  }

  async follows(place: ChatPlace, change: Partial<ChannelFollows> = {}): Promise<void> {
    const all = { flows: ["lab"], types: [], threads: true, output: "balanced", safe: false } as const;
    await this.inside(({ board }) => {
      board.setFollows({ place, ...all, flows: [...all.flows], types: [], ...change });
    });
  }

  /** The run is said to have changed; nobody has looked yet. */
  async told(notice: Pick<RunNotice, "runId"> & Partial<RunNotice>): Promise<boolean> {
    return this.inside(({ board }) => board.runChanged({ flow: "lab", eventType: "own", ...notice }).shown);
  }

  /** The run is said to have changed, and a second later everything is drawn that is due. */
  async changed(notice: Pick<RunNotice, "runId"> & Partial<RunNotice>): Promise<void> {
    await this.told(notice);
    await this.after(1_000);
  }

  /** Time passes, what is due is drawn and sent. */
  async after(ms: number): Promise<void> {
    await this.inside(async ({ outbox, board }) => {
      outbox.advance(ms);
      await board.tick();
      await outbox.hurry();
    });
  }
}
