/**
 * What a relay is asked to do, from its flags and its environment: the one place that knows their letters, names and
 * defaults. Pure.
 */
import { resolve } from "node:path";
import type { ChatPlace } from "../../contract/chat/place.ts";
import { CLOCK_MAX_MS } from "../../contract/limits.ts";
import { RelayCommandError } from "./agents/agent.ts";
import { SESSION_MODES, type SessionMode } from "./codex-threads.ts";
import { OUTPUT_MODES, type OutputPolicy } from "./output-policy.ts";
import { LOG_POLICIES, type LogPolicy } from "./stream-log.ts";

export const TIMEOUT_DEFAULT_SECONDS = 1800;
export const HANG_DEFAULT_SECONDS = 120;
/** The silence that ends a session, where --silence says nothing: so many times the one that is warned of. */
export const SILENCE_HANGS = 10;
export const SECONDS_MAX = CLOCK_MAX_MS / 1000;
const SECOND_MS = 1000;

type Environment = Readonly<Record<string, string | undefined>>;

/** Where a session is shown. */
export interface PlaceFlags {
  /** -P */
  platform?: string;
  channel?: string;
  discordThread?: string;
  tgChat?: string;
  tgThread?: string;
}

export interface RelayFlags extends PlaceFlags {
  workdir?: string;
  timeout?: number;
  hang?: number;
  silence?: number;
  name?: string;
  thread?: boolean;
  skipReads?: boolean;
  newSession?: boolean;
  reuseSession?: boolean;
  promptStdin?: boolean;
  promptArgv?: boolean;
  /** A terminal for the program also where the relay's own input is none. */
  tty?: boolean;
}

export interface RelaySettings {
  place: ChatPlace;
  sessionKey: string | undefined;
  workdir: string;
  timeoutMs: number;
  hangMs: number;
  silenceMs: number;
  name: string | undefined;
  thread: boolean;
  sessions: SessionMode;
  prompt: "argv" | "stdin";
  policy: OutputPolicy;
  logPolicy: LogPolicy;
}

/** @throws RelayCommandError */
export function relaySettings(flags: RelayFlags, environment: Environment): RelaySettings {
  const safe = isTrue(environment["CODEFLOW_SAFE_MODE"]);
  const place = chatPlace(flags, environment);
  if (flags.thread === true && place.platform === "discord" && place.thread !== undefined)
    throw new RelayCommandError(
      "--thread asks for a thread of its own, and a thread of Discord holds none",
      "leave out --thread, or --discord-thread",
    );
  const hang = flags.hang ?? HANG_DEFAULT_SECONDS;
  const timeout = flags.timeout ?? TIMEOUT_DEFAULT_SECONDS;
  return {
    place,
    sessionKey: given(environment["CODEFLOW_SESSION_KEY"]),
    workdir: resolve(flags.workdir ?? "."),
    timeoutMs: timeout * SECOND_MS,
    hangMs: hang * SECOND_MS,
    silenceMs: (flags.silence ?? Math.min(hang * SILENCE_HANGS, SECONDS_MAX)) * SECOND_MS,
    name: flags.name,
    thread: flags.thread === true,
    sessions: sessionMode(flags, environment),
    prompt: promptMode(flags, environment),
    policy: {
      mode: word(environment, "CODEFLOW_OUTPUT_MODE", OUTPUT_MODES, "balanced"),
      safe,
      skipReads: flags.skipReads === true,
    },
    logPolicy: word(environment, "CODEFLOW_STREAM_LOG", LOG_POLICIES, safe ? "redacted" : "full"),
  };
}

/** @throws RelayCommandError when no chat is named, or two are, or an id is none */
export function chatPlace(flags: PlaceFlags, environment: Environment): ChatPlace {
  const { platform = "auto" } = flags;
  if (!["discord", "telegram", "auto"].includes(platform))
    throw new RelayCommandError(`-P ${platform} is no platform`, "write -P discord, -P telegram or -P auto");
  const discord = flags.channel ?? given(environment["CODEFLOW_DISCORD_CHANNEL"]);
  const telegram = flags.tgChat ?? given(environment["CODEFLOW_TELEGRAM_CHAT"]);
  if (platform === "auto" && flags.channel !== undefined && flags.tgChat !== undefined)
    throw new RelayCommandError(
      "both --channel and --tg-chat are given",
      "say which is meant: -P discord or -P telegram",
    );
  const chosen =
    platform !== "auto"
      ? platform
      : flags.tgChat !== undefined || discord === undefined
        ? "telegram"
        : "discord";
  if (chosen === "discord" && discord !== undefined) {
    // A thread of the environment is one of the environment's channel.
    const usual = flags.channel === undefined ? given(environment["CODEFLOW_DISCORD_THREAD"]) : undefined;
    const thread = flags.discordThread ?? usual;
    return {
      platform: "discord",
      channel: idOf("--channel", discord),
      ...(thread === undefined ? {} : { thread: idOf("--discord-thread", thread) }),
    };
  }
  if (chosen === "telegram" && telegram !== undefined) {
    const thread = flags.tgThread ?? given(environment["CODEFLOW_TELEGRAM_THREAD"]);
    return {
      platform: "telegram",
      channel: idOf("--tg-chat", telegram),
      ...(thread === undefined ? {} : { thread: idOf("--tg-thread", thread) }),
    };
  }
  throw new RelayCommandError(
    platform === "auto" ? "no chat is named" : `no chat of ${platform} is named`,
    "pass --channel <id> (or CODEFLOW_DISCORD_CHANNEL) for Discord, --tg-chat <id> (or CODEFLOW_TELEGRAM_CHAT) for Telegram",
  );
}

function idOf(flag: string, text: string): string {
  if (/^-?\d{1,20}$/.test(text)) return text;
  throw new RelayCommandError(
    `${flag} ${text} is no id`,
    "an id has digits only (a Telegram group's begins with -)",
  );
}

function sessionMode({ newSession, reuseSession }: RelayFlags, environment: Environment): SessionMode {
  if (newSession === true && reuseSession === true)
    throw new RelayCommandError(
      "--new-session and --reuse-session contradict each other",
      "leave one of them out",
    );
  if (newSession === true) return "new";
  if (reuseSession === true) return "reuse";
  return word(environment, "CODEFLOW_CODEX_SESSION_MODE", SESSION_MODES, "auto");
}

const PROMPT_MODES = ["auto", "argv", "stdin"] as const;

/** Under a host that writes command lines by itself, a prompt among the arguments is a quoting fault waiting to happen. */
function promptMode({ promptStdin, promptArgv }: RelayFlags, environment: Environment): "argv" | "stdin" {
  if (promptStdin === true && promptArgv === true)
    throw new RelayCommandError(
      "--prompt-stdin and --prompt-argv contradict each other",
      "leave one of them out",
    );
  if (promptStdin === true) return "stdin";
  if (promptArgv === true) return "argv";
  const mode = word(environment, "CODEFLOW_PROMPT_MODE", PROMPT_MODES, "auto");
  if (mode !== "auto") return mode;
  return Object.keys(environment).some((name) => name.startsWith("OPENCLAW")) ? "stdin" : "argv";
}

function word<Word extends string>(
  environment: Environment,
  name: string,
  words: readonly Word[],
  absent: Word,
): Word {
  const value = given(environment[name]);
  if (value === undefined) return absent;
  const known = words.find((candidate) => candidate === value.toLowerCase());
  if (known !== undefined) return known;
  throw new RelayCommandError(`${name}=${value} is not known`, `set it to ${words.join(", ")}`);
}

function given(value: string | undefined): string | undefined {
  return value === "" ? undefined : value;
}

function isTrue(value: string | undefined): boolean {
  return ["1", "true", "yes", "on"].includes((value ?? "").toLowerCase());
}
