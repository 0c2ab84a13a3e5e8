/** Query parameters that are yes or no. */
import { BadRequestError } from "../contract/errors.ts";

/** A value that says neither is refused: taken for one of them, the request would do what its sender did not ask for. */
export function flag(value: string | undefined, name: string, code = "invalid_flag"): boolean {
  if (value === undefined || value === "0" || value === "false") return false;
  if (value === "" || value === "1" || value === "true") return true;
  throw new BadRequestError(code, `${name} must be 1, true, 0 or false`, [
    { path: `?${name}`, message: "is neither yes nor no" },
  ]);
}
