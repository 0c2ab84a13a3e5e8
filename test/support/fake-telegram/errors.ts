/** Telegram's errors: a code, a description in its words, and for two of them what to do about it. */

export interface ResponseParameters {
  /** Whole seconds. */
  retry_after?: number;
  migrate_to_chat_id?: number;
}

export class TelegramError extends Error {
  readonly code: number;
  readonly parameters: ResponseParameters | undefined;

  constructor(code: number, description: string, parameters?: ResponseParameters) {
    super(description);
    this.code = code;
    this.parameters = parameters;
  }

  toBody(): Record<string, unknown> {
    const parameters = this.parameters === undefined ? {} : { parameters: this.parameters };
    return { ok: false, error_code: this.code, description: this.message, ...parameters };
  }
}

export function badRequest(description: string, parameters?: ResponseParameters): TelegramError {
  return new TelegramError(400, `Bad Request: ${description}`, parameters);
}

/** A fault of the client's, and not of the state of things: it goes into the ledger of faults. */
export class RuleError extends TelegramError {
  readonly rule: string;

  constructor(rule: string, description: string) {
    super(400, `Bad Request: ${description}`);
    this.rule = rule;
  }
}
