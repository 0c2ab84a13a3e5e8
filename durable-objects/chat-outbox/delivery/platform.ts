/**
 * What a chat platform is to the delivery: how it is spoken to, what its answers mean, what pace it bears. Requests and
 * answers are data, so that each platform can be tested as a table; who sends them is sender.ts, when is governor.ts.
 */
import type { ChatMessage, DeliveryClass } from "../../../contract/chat/message.ts";
import type { HaltCode } from "../../../contract/chat/outbox-codes.ts";
import type { ChatPlatform, ChatPlace } from "../../../contract/chat/place.ts";
import type { Posted, ReplyTo, ThreadRow } from "./records.ts";

/** What is done next for a row. */
export type Job =
  | { kind: "create"; place: ChatPlace; message: ChatMessage; nonce: string; forum?: { name: string } }
  | { kind: "edit"; at: Pick<Posted, "channel" | "id">; message: ChatMessage }
  /** A card that another one has replaced says where that is, and has nothing to press. */
  | { kind: "retire"; at: Pick<Posted, "channel" | "id">; message: ChatMessage }
  | { kind: "answer"; key: string; reply: ReplyTo; message: ChatMessage }
  /** Looks whether a creation of unknown outcome is there: an edit of what would be its id that changes nothing. */
  | { kind: "probe"; at: Pick<Posted, "channel" | "id">; message: ChatMessage }
  /** Looks for it among what stands there: the bot's own, not `known`, with this text. Of a forum: its newest post. */
  | {
      kind: "find";
      place: ChatPlace;
      message: ChatMessage;
      since: number;
      known: readonly string[];
      forum: boolean;
    }
  | { kind: "open_thread"; thread: ThreadRow; parent: ChatPlace; starter?: string }
  /** Something that only a question brings: the path is the caller's. */
  | { kind: "read"; path: string; route: string; major: string }
  | { kind: "close_thread"; parent: ChatPlace; id: string }
  | { kind: "reopen_thread"; parent: ChatPlace; id: string };

export type JobKind = Job["kind"];

/** What waits for each other. */
export interface Lane {
  /** Requests of one lane never overlap. */
  name: string;
  /** What shares a rate limit: the route without ids… */
  route: string;
  /** …and the channel, chat or interaction. */
  major: string;
  /** Of an interaction's own token: the limits of the bot are not its, nor is what is wrong with the bot's token. */
  ownToken?: true;
}

/** A request as data. */
export interface PlatformRequest {
  method: "GET" | "POST" | "PATCH" | "DELETE";
  /** Below the base address, without it and without the bot's token. */
  path: string;
  body?: object;
  /** Goes without the bot's token. */
  anonymous?: boolean;
}

export interface PlatformAnswer {
  status: number;
  headers: { get(name: string): string | null };
  /** Parsed JSON, or the text when it is none. */
  body: unknown;
}

/** What an answer means. `code` and `message` are for people; neither holds a secret. */
export type Outcome =
  | { kind: "done"; id?: string; channel?: string; guild?: string }
  /** Not now. `shared`: not our fault; `hidden`: no header has told of this limit. */
  | { kind: "limited"; ms: number; scope: "bot" | "lane"; shared: boolean; hidden: boolean }
  /** Cloudflare refuses the address. */
  | { kind: "blocked" }
  /** The platform is in trouble, or nothing came back: again later. */
  | { kind: "retry"; code: string }
  /** The message is not there (any more). */
  | { kind: "message_gone" }
  /** It may be this one. */
  | { kind: "candidate"; id: string }
  /** Too old to be edited at this pace. */
  | { kind: "too_old"; ms: number }
  /** The thread is archived: open it first. */
  | { kind: "thread_closed" }
  /** The thread or topic is not there any more. */
  | { kind: "thread_gone" }
  /** No thread can be made there. */
  | { kind: "no_threads"; code: string; message: string }
  /** A channel that takes posts with a name only. */
  | { kind: "forum" }
  /** The interaction's token does not work; `young`: it may in a moment. */
  | { kind: "token_dead"; young: boolean }
  | { kind: "moved"; channel: string }
  /** The target takes nothing now. */
  | { kind: "park"; code: string; message: string }
  /** The target does not exist. */
  | { kind: "drop"; code: string; message: string }
  /** This message is refused for what it is: a bug of ours. */
  | { kind: "refused"; code: string; message: string }
  /** The bot's token is refused. */
  | { kind: "halt"; code: HaltCode; message: string };

/** How fast a platform may be spoken to, besides what it says itself. Times in ms. */
export interface Pace {
  perSecond: number;
  burst: number;
  inFlight: number;
  /** Between two requests of one lane. */
  laneEveryMs(major: string, deliveryClass: DeliveryClass): number;
  /** After a restart, a lane waits so long since it was last touched. */
  restMs(major: string): number;
}

export interface Platform {
  readonly name: ChatPlatform;
  readonly pace: Pace;
  /** Creations are idempotent by their nonce. */
  readonly nonces: boolean;
  /** A thread hangs on a message in its channel. */
  readonly threadsBeginWithMessage: boolean;
  /** Presses and commands have tokens that an answer is sent by. */
  readonly interactions: boolean;
  /** Cards are made anew at this age; undefined: never. */
  readonly repostAfterMs: number | undefined;
  /** The one address that may get the token. */
  url(request: PlatformRequest): string;
  headers(request: PlatformRequest): Record<string, string>;
  lane(job: Job): Lane;
  request(job: Job): PlatformRequest;
  outcome(job: Job, answer: PlatformAnswer, now: number): Outcome;
  /** Where people open a message; undefined where that needs what is not known. @param guild of its channel */
  linkTo(guild: string | undefined, at: Pick<Posted, "channel" | "id">): string | undefined;
  /** Of the body that a message is drawn as. */
  hashOf(message: ChatMessage): string;
  pages(message: ChatMessage): ChatMessage[];
  threadName(name: string): string;
}
