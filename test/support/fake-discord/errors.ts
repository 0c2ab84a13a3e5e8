/** Discord's errors, in its form: `{code, message, errors?}`. Numbers and texts as in its documentation. */

/** What `errors` of a 50035 looks like: as deep as the body, `_errors` at each place that is wrong. */
export interface FieldErrors {
  [key: string]: FieldErrors | Array<{ code: string; message: string }>;
}

export class DiscordError extends Error {
  readonly status: number;
  readonly code: number;
  readonly errors: FieldErrors | undefined;

  constructor(status: number, code: number, message: string, errors?: FieldErrors) {
    super(message);
    this.status = status;
    this.code = code;
    this.errors = errors;
  }

  toBody(): Record<string, unknown> {
    const errors = this.errors === undefined ? {} : { errors: this.errors };
    return { message: this.message, code: this.code, ...errors };
  }
}

const ERRORS = {
  unauthorized: [401, 0, "401: Unauthorized"],
  noRoute: [404, 0, "404: Not Found"],
  wrongMethod: [405, 0, "405: Method Not Allowed"],
  unknownApplication: [404, 10002, "Unknown Application"],
  unknownChannel: [404, 10003, "Unknown Channel"],
  unknownGuild: [404, 10004, "Unknown Guild"],
  unknownMember: [404, 10007, "Unknown Member"],
  unknownMessage: [404, 10008, "Unknown Message"],
  unknownEmoji: [400, 10014, "Unknown Emoji"],
  unknownWebhook: [404, 10015, "Unknown Webhook"],
  tooManyOldEdits: [
    429,
    30046,
    "Maximum number of edits to messages older than 1 hour reached. Try again later",
  ],
  alreadyAcknowledged: [400, 40060, "Interaction has already been acknowledged."],
  wrongUserAgent: [403, 40333, "internal network error"],
  missingAccess: [403, 50001, "Missing Access"],
  othersMessage: [403, 50005, "Cannot edit a message authored by another user"],
  emptyMessage: [400, 50006, "Cannot send an empty message"],
  notText: [400, 50008, "Cannot send messages in a non-text channel"],
  missingPermissions: [403, 50013, "Missing Permissions"],
  expiredToken: [401, 50027, "Invalid Webhook Token"],
  archived: [400, 50083, "Thread is archived"],
  invalidJson: [400, 50109, "The request body contains invalid JSON."],
  threadExists: [400, 160004, "A thread has already been created for this message"],
} as const satisfies Record<string, readonly [number, number, string]>;

/** An error that Discord's documentation names. */
export function refusal(name: keyof typeof ERRORS): DiscordError {
  const [status, code, message] = ERRORS[name];
  return new DiscordError(status, code, message);
}

/** 50035 that blames places of a body; a path is the keys from its root. */
export function invalidForm(places: Array<{ path: string[]; message: string; code?: string }>): DiscordError {
  const errors: FieldErrors = {};
  for (const { path, message, code } of places) {
    let at = errors;
    for (const key of path) {
      const next = at[key];
      at = next === undefined || Array.isArray(next) ? (at[key] = {}) : next;
    }
    const said = at["_errors"];
    const one = { code: code ?? "INVALID", message };
    at["_errors"] = Array.isArray(said) ? [...said, one] : [one];
  }
  return new DiscordError(400, 50035, "Invalid Form Body", errors);
}
