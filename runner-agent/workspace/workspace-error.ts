/** Why a step's workspace could not be made, or a worktree not be dealt with. The code ends the attempt `refused`. */
export class WorkspaceError extends Error {
  override readonly name = "WorkspaceError";
  readonly code: string;

  /** @param message what, where and what to do */
  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}
