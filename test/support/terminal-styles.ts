/** Where what the program draws may end up. */
import picocolors from "picocolors";
import type { Style } from "../../runner-agent/cli/render/text.ts";
import { BEGIN_MS } from "./run-fixtures.ts";

export const PIPE: Style = {
  colors: picocolors.createColors(false),
  terminal: false,
  width: 80,
  now: BEGIN_MS + 60_000,
};
export const TERMINAL: Style = { ...PIPE, colors: picocolors.createColors(true), terminal: true };
/** A terminal whose colours are left out, so that its text can be read. */
export const PLAIN_TERMINAL: Style = { ...PIPE, terminal: true };
