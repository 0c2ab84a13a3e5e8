/**
 * The systemd user unit of a runner agent, as text. Pure. What it says of the agent's life:
 *
 * U1. `systemctl stop` is a drain: SIGTERM to the agent alone (KillMode=mixed), and time to finish. What is left in
 *     the unit when the agent has gone is killed, so that no step outlives it unseen.
 * U2. A crash is restarted at once, for ever; the agent then ends and hands over what its former life left. What no
 *     restart can mend (bad configuration, refused token) stays down, and so does an agent that was drained.
 * U3. The token stands in a file that only its owner reads, never in the unit or on the command line.
 */
import { EXIT } from "../cli/exit-codes.ts";

const RESTART_S = 5;
/** How long a stop waits for the agent's runs before it kills them; a shutdown of the machine waits less by itself. */
const STOP_TIMEOUT_S = 3600;
const OPEN_FILES = 65_536;

export interface UnitGiven {
  /** Name of the runner; absent: the configuration's or the host's, and the unit has the plain name. */
  name?: string | undefined;
  /** Absolute paths of the Node and of bin/codex-flow.mjs. */
  node: string;
  program: string;
  workspace: string;
  /** Words behind `runner start`. */
  flags: string[];
  environmentFile: string;
  /** PATH of the agent, and so of its steps. */
  path: string;
}

export function unitName(name: string | undefined): string {
  return `codex-flow-runner${name === undefined ? "" : `-${name}`}.service`;
}

export function unitText(given: UnitGiven): string {
  const { name, node, program, workspace, flags, environmentFile, path } = given;
  const command = [node, program, "runner", "start", ...flags].map(commandWord).join(" ");
  return `# Written by \`codex-flow runner install\`; its next call replaces what is changed here.
[Unit]
Description=codex-flow runner${name === undefined ? "" : ` ${specifierSafe(name)}`}
StartLimitIntervalSec=0

[Service]
Type=exec
WorkingDirectory=${specifierSafe(workspace)}
EnvironmentFile=${specifierSafe(environmentFile)}
Environment=${specifierSafe(quoted(`PATH=${path}`))}
ExecStart=${command}
Restart=on-failure
RestartSec=${RESTART_S}
RestartPreventExitStatus=${EXIT.usage} ${EXIT.denied}
KillMode=mixed
TimeoutStopSec=${STOP_TIMEOUT_S}
LimitNOFILE=${OPEN_FILES}

[Install]
WantedBy=default.target
`;
}

/** The file that the unit reads its address and token from. */
export function environmentText(variables: Readonly<Record<string, string>>): string {
  const lines = Object.entries(variables).map(
    ([name, value]) => `${name}="${value.replace(/[\\"`$]/g, "\\$&")}"`,
  );
  return `${lines.join("\n")}\n`;
}

/** A word of ExecStart: neither split, nor a specifier, nor a variable. */
function commandWord(word: string): string {
  const safe = specifierSafe(word).replaceAll("$", "$$$$");
  return /^[\w@%+=:,./$-]+$/.test(safe) ? safe : quoted(safe);
}

function quoted(text: string): string {
  return `"${text.replace(/[\\"]/g, "\\$&")}"`;
}

function specifierSafe(text: string): string {
  return text.replaceAll("%", "%%");
}

/** Lines that go and lines that come, for people; empty when nothing changes. */
export function lineChanges(before: string, after: string): string[] {
  const [old, fresh] = [before.split("\n"), after.split("\n")];
  return [
    ...old.filter((line) => !fresh.includes(line)).map((line) => `- ${line}`),
    ...fresh.filter((line) => !old.includes(line)).map((line) => `+ ${line}`),
  ];
}
