/** A development set-up that did not come up, in words for the person who started it. */
export class SetupError extends Error {
  override readonly name = "SetupError";
  /** What to do about it; absent where the message says all. */
  readonly fix: string | undefined;

  constructor(message: string, fix?: string) {
    super(message);
    this.fix = fix;
  }
}
