/** The tables of why a chat's outbox sends nothing, from contract/chat/outbox-codes.ts. */
import { HALT_CODES, PARK_CODES } from "../../contract/chat/outbox-codes.ts";

export function haltsTable(): string {
  return table(Object.entries(HALT_CODES).map(([code, { meaning, remedy }]) => [code, meaning, remedy]));
}

export function parksTable(): string {
  return table(PARK_CODES.map(({ code, meaning, remedy }) => [code, meaning, remedy]));
}

function table(rows: readonly (readonly [code: string, meaning: string, remedy: string])[]): string {
  const lines = rows.map(([code, meaning, remedy]) => `| \`${code}\` | ${meaning} | ${remedy} |`);
  return ["| code | meaning | what to do |", "| --- | --- | --- |", ...lines].join("\n");
}
