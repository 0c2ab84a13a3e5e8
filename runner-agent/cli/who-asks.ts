/** Who stands behind a command, for the record of the run. */
import { userInfo } from "node:os";

export function whoAsks(): string {
  return `${userInfo().username} (codex-flow)`;
}
