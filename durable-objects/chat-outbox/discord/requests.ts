/**
 * How Discord is spoken to: each job as a request of its REST interface (v10). Sources: discord-api-docs, topics
 * "Rate Limits", "Message", "Channel", "Receiving and Responding".
 *
 * A message is created with `nonce` and `enforce_nonce`: for some minutes, the same nonce again answers with the
 * message that is there. A thread of a text channel hangs on its first message and has its id, so that it cannot be made twice either.
 */
import type { ChatMessage } from "../../../contract/chat/message.ts";
import type { ChatPlace } from "../../../contract/chat/place.ts";
import type { Job, Lane, Pace, PlatformRequest } from "../delivery/platform.ts";
import { cut, flat } from "../drawing.ts";
import { drawDiscord, DISCORD_SUPPRESS_NOTIFICATIONS, type DiscordBody } from "./message.ts";

export const DISCORD_DEFAULT_URL = "https://discord.com/api/v10";

/** A Worker waits for the headers of six connections at most; the bot's global limit is 50 a second. */
export const DISCORD_PACE: Pace = {
  perSecond: 40,
  burst: 5,
  inFlight: 6,
  laneEveryMs: () => 0,
  // The usual bucket of messages: five in five seconds.
  restMs: () => 5_000,
};

const THREAD_NAME_MAX_CHARS = 100;
const UNNAMED = "run";
/** Newest messages of a channel among which one in doubt is looked for. */
const FOUND_AMONG = 50;
/** Minutes without activity after which Discord hides a thread: a week. */
const AUTO_ARCHIVE_MINUTES = 10_080;

/** The channel that Discord knows a place as: threads are channels. */
export function discordChannel({ channel, thread }: ChatPlace): string {
  return thread ?? channel;
}

export function discordThreadName(name: string): string {
  return cut(flat(name), THREAD_NAME_MAX_CHARS) || UNNAMED;
}

export function discordLane(job: Job): Lane {
  switch (job.kind) {
    case "create": {
      const channel = discordChannel(job.place);
      const route = job.forum === undefined ? "POST messages" : "POST threads";
      return { name: `create ${channel}`, route, major: channel };
    }
    case "find": {
      // In the lane of what is looked for, which waits for the answer.
      const channel = discordChannel(job.place);
      return { name: `create ${channel}`, route: job.forum ? "GET channel" : "GET messages", major: channel };
    }
    case "edit":
    case "retire":
    case "probe":
      return { name: `edit ${job.at.channel}`, route: "PATCH message", major: job.at.channel };
    case "answer":
      return { name: `answer ${job.key}`, route: "PATCH @original", major: job.key, ownToken: true };
    case "open_thread":
      return { name: `thread ${job.parent.channel}`, route: "POST thread", major: job.parent.channel };
    case "close_thread":
    case "reopen_thread":
      return { name: `channel ${job.id}`, route: "PATCH channel", major: job.id };
    case "read":
      return { name: `read ${job.major}`, route: job.route, major: job.major };
  }
}

export function discordRequest(job: Job): PlatformRequest {
  switch (job.kind) {
    case "create": {
      const { body } = drawDiscord(job.message);
      const channel = discordChannel(job.place);
      if (job.forum !== undefined)
        return {
          method: "POST",
          path: `/channels/${channel}/threads`,
          body: {
            name: discordThreadName(job.forum.name),
            auto_archive_duration: AUTO_ARCHIVE_MINUTES,
            message: body,
          },
        };
      return {
        method: "POST",
        path: `/channels/${channel}/messages`,
        body: { ...body, nonce: job.nonce, enforce_nonce: true },
      };
    }
    case "find": {
      const channel = discordChannel(job.place);
      const path = job.forum ? `/channels/${channel}` : `/channels/${channel}/messages?limit=${FOUND_AMONG}`;
      return { method: "GET", path };
    }
    case "edit":
    case "retire":
    case "probe":
      return {
        method: "PATCH",
        path: `/channels/${job.at.channel}/messages/${job.at.id}`,
        body: editBody(job.message),
      };
    case "answer":
      return {
        method: "PATCH",
        path: `/webhooks/${job.reply.applicationId}/${encodeURIComponent(job.reply.token)}/messages/@original`,
        body: editBody(job.message),
        anonymous: true,
      };
    case "open_thread":
      return {
        method: "POST",
        path: `/channels/${job.parent.channel}/messages/${job.starter ?? ""}/threads`,
        body: { name: job.thread.name, auto_archive_duration: AUTO_ARCHIVE_MINUTES },
      };
    case "close_thread":
      return { method: "PATCH", path: `/channels/${job.id}`, body: { archived: true } };
    case "reopen_thread":
      return { method: "PATCH", path: `/channels/${job.id}`, body: { archived: false } };
    case "read":
      return { method: "GET", path: job.path };
  }
}

/** Where a client opens a message; it wants to know the guild as well. */
export function discordLink(
  guild: string | undefined,
  { channel, id }: { channel: string; id: string },
): string | undefined {
  return guild === undefined ? undefined : `https://discord.com/channels/${guild}/${channel}/${id}`;
}

/** An edit never rings, and Discord takes no such flag with it. */
function editBody(message: ChatMessage): DiscordBody {
  const { body } = drawDiscord(message);
  return { ...body, flags: body.flags & ~DISCORD_SUPPRESS_NOTIFICATIONS };
}

/** What makes a drawn message this one. */
export function discordShown(message: ChatMessage): string {
  return JSON.stringify(editBody(message));
}
