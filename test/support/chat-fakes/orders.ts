/** What a test inside workerd can have done to a fake chat, and what it is shown of it: plain data. */

declare module "vitest" {
  interface ProvidedContext {
    /** Address of the server; only where it was started. */
    chatFakes: string;
  }
}

interface Limit {
  limit: number;
  windowMs: number;
}

/** As the fake itself takes them; `"none"` stands for its NO_LIMITS. */
export interface StartDiscord {
  limits?:
    | "none"
    | { routes?: Record<string, Limit>; hidden?: (Limit & { route: string; scope: "user" | "shared" })[] };
  followUpRaceMs?: number;
}

export interface StartTelegram {
  limits?: "none" | { chat?: Limit; group?: Limit; all?: Limit };
}

/** Of Discord by `route`, of Telegram by `method`; without either, the next request whatever it is. */
export interface FakeFault {
  route?: string;
  method?: string;
  times?: number;
  with:
    | number
    | "reset"
    | "hang"
    | "done_then_reset"
    | "done_then_hang"
    | "blocked"
    | "limited"
    | { status: number; code: number; message: string }
    | { code: number; description: string; parameters?: { retry_after?: number } };
  retryAfter?: number;
}

export type FakeOrder =
  | { do: "start discord"; options: StartDiscord }
  | { do: "start telegram"; options: StartTelegram }
  | ({ fake: string } & AnyOrder);

export type AnyOrder =
  | { do: "stop" }
  | { do: "look" }
  | { do: "behave" }
  | { do: "drop hanging" }
  | { do: "advance"; ms: number }
  | { do: "misbehave"; order: FakeFault }
  | { do: "add channels"; count: number }
  | { do: "deny" | "allow"; channel: string; right: "view" | "send" | "threads" | "manage" }
  | { do: "delete channel"; channel: string }
  | { do: "delete message"; channel: string; id: string }
  | { do: "age message"; id: string; ms: number }
  | { do: "archive"; channel: string }
  /** A person of the guild writes; `mention`: to the bot. */
  | { do: "say"; channel: string; text: string; mention: boolean }
  /** Of the person who says things. */
  | { do: "set roles"; roles: string[] }
  /** Of the person who writes. `permissions`: of a role that is given to him, or to everybody; without a role, he owns the guild. */
  | { do: "promote"; role?: "own" | "everyone"; permissions?: string }
  | { do: "revoke token" }
  | { do: "set bot"; chat: string; status: "kicked" | "member" | "administrator" }
  | { do: "migrate"; chat: string };

/** A message as people see it. */
export interface SeenMessage {
  id: string;
  channel: string;
  /** All texts of it, one after the other. */
  text: string;
  /** How often it was changed. */
  edits: number;
  /** Every text it had, the present one last. */
  history: string[];
  /** What its buttons bring: their custom ids, and addresses. */
  buttons: string[];
  rings: string[];
  topic?: string;
}

export interface SeenChats {
  /** By channel, in the order in which they were made; deleted ones are not there. */
  messages: SeenMessage[];
  threads: { id: string; parent: string; name: string; archived: boolean }[];
  limited: { hidden: boolean; route: string; major: string }[];
  faults: { rule: string; message: string }[];
  requests: {
    method: string;
    path: string;
    status: number | null;
    atMs: number;
    userAgent: string;
    token: boolean;
  }[];
}
