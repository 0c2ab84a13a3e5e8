/** How the values of options are read, and the examples under a command's help. */
import { userInfo } from "node:os";
import { InvalidArgumentError, type Command } from "commander";
import { UsageError } from "./problem.ts";

/** Reads a whole number within bounds, both included. */
export function wholeNumber(minimum: number, maximum: number): (text: string) => number {
  return (text) => {
    const value = /^[0-9]{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= minimum && value <= maximum) return value;
    throw new InvalidArgumentError(`It must be a whole number from ${minimum} to ${maximum}.`);
  };
}

/** Reads a number above 0, at most `maximum`; fractions are allowed. */
export function positiveNumber(maximum: number): (text: string) => number {
  return (text) => {
    const value = /^[0-9]{0,12}(\.[0-9]{1,15})?$/.test(text) ? Number(text) : Number.NaN;
    if (value > 0 && value <= maximum) return value;
    throw new InvalidArgumentError(`It must be a number above 0, at most ${maximum}.`);
  };
}

const UNIT_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Reads `--since`: an age as 30m, 24h or 7d, or a date. The date, in the form that the edge takes. */
export function sinceDate(text: string): string {
  const age = /^([0-9]{1,6})\s*(s|m|min|h|d)$/.exec(text);
  const unit = age?.[2]?.charAt(0);
  const at =
    age !== null && unit !== undefined
      ? Date.now() - Number(age[1]) * (UNIT_MS[unit] ?? 0)
      : /^\d{4}-\d{2}-\d{2}/.test(text)
        ? Date.parse(text)
        : Number.NaN;
  if (!Number.isNaN(at)) return new Date(at).toISOString();
  throw new InvalidArgumentError(
    "It must be an age (30m, 24h, 7d) or a date (2026-11-21, 2026-11-21T05:00:00Z).",
  );
}

/** `--by <name>`: who does it, for the record of the run. */
export function byOption(command: Command): Command {
  return command.option("--by <name>", "recorded as the author (default: the user of this machine)");
}

/** The value of `--by`. */
export function whoSays({ by }: { by?: string }): string {
  return by ?? userInfo().username;
}

/** What `--wait [seconds]` asks for; undefined when it is not given. */
export interface Wait {
  /** Without end when absent. */
  seconds?: number;
}

/** Reads the value of `--wait [seconds]`: absent, true, or a text. */
export function waitOption(value: string | true | undefined): Wait | undefined {
  if (value === undefined) return undefined;
  if (value === true) return {};
  if (!isSeconds(value))
    throw new UsageError(
      `--wait takes whole seconds, not "${value}"`,
      "write --wait 30, or --wait alone as the last word",
    );
  return { seconds: Number(value) };
}

export function isSeconds(text: string): boolean {
  return /^[0-9]{1,7}$/.test(text);
}

/** For an option that may be given several times. */
export function collect(text: string, before: string[] = []): string[] {
  return [...before, text];
}

/** Examples at the end of --help: command and what it does. */
export function examples(
  command: Command,
  lines: ReadonlyArray<readonly [command: string, purpose: string]>,
): void {
  const text = lines.map(([example, purpose]) => `  # ${purpose}\n  $ ${example}`).join("\n");
  command.addHelpText("after", `\nExamples:\n${text}`);
}
