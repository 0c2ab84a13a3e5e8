/** All agents that are known, the particular ones first. Naming one here is all that adds it. */
import type { Agent } from "./agent.ts";
import { claudeCode } from "./claude-code.ts";
import { codexExec } from "./codex-exec.ts";
import { raw } from "./raw.ts";

const AGENTS: readonly Agent[] = [codexExec, claudeCode];

export function agentOf(command: readonly string[]): Agent {
  return AGENTS.find((agent) => agent.fits(command)) ?? raw;
}

export function agentNamed(name: string): Agent | undefined {
  return AGENTS.find((agent) => agent.name === name);
}
