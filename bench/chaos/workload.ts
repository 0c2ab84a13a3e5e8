/**
 * The flow packages of chaos, and what their steps write down on disk: a mark when they begin, with each line, and
 * when they are done. Marks are appended with O_APPEND by the step itself; nobody can claim them afterwards.
 */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { StepPayload } from "./plan.ts";

/** One line of the file of marks: `<what> <attempt id> <pid> <epoch ms>`. */
export interface Mark {
  what: "start" | "tick" | "end";
  attemptId: string;
  pid: number;
  at: number;
}

/** What a step prints on standard output, to the last byte. */
export function expectedOutput(attemptId: string, { lines, next }: StepPayload): string {
  const numbered = Array.from({ length: lines }, (_unused, n) => `line ${n + 1} of ${attemptId}\n`);
  const result = { status: "completed", message: attemptId, next };
  return `${numbered.join("")}FLOW_RESULT ${JSON.stringify(result)}\n`;
}

/** All kinds run the same script; what differs is the policy around it. */
const FLOWS: Record<string, { type: string; policy?: string }> = {
  quick: { type: "chaos.quick" },
  long: { type: "chaos.long" },
  retried: {
    type: "chaos.retried",
    policy: `[steps.retry]\nattempts = 10\non = ["lost"]\nbackoff_ms = 100\n`,
  },
  keyed: { type: "chaos.keyed", policy: `[steps.concurrency]\nkey = "{{payload.key}}"\nlimit = 1\n` },
  chaining: { type: "chaos.chaining" },
  "pair-one": { type: "chaos.pair" },
  "pair-two": { type: "chaos.pair" },
};

const scriptFor = (marks: string): string => `
import { appendFileSync } from "node:fs";
const { flow, runtime } = JSON.parse(await new Response(process.stdin).text());
const { lines, pauseMs, next } = flow.event.payload;
const mark = (what) => appendFileSync(${JSON.stringify(marks)}, what + " " + runtime.attemptId + " " + process.pid + " " + Date.now() + "\\n");
mark("start");
for (let line = 1; line <= lines; line += 1) {
  console.log("line " + line + " of " + runtime.attemptId);
  mark("tick");
  if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs));
}
mark("end");
console.log("FLOW_RESULT " + JSON.stringify({ status: "completed", message: runtime.attemptId, next }));
`;

export interface Workload {
  /** Folder with the flow packages, for edge and agents. */
  workspace: string;
  marks(): Promise<Mark[]>;
}

/** Writes the packages below `folder`. */
export async function writeWorkload(folder: string): Promise<Workload> {
  const workspace = join(folder, "workspace");
  const file = join(folder, "marks");
  for (const [name, { type, policy = "" }] of Object.entries(FLOWS)) {
    const script = join(workspace, "flows", name, "exec", "step.mjs");
    await mkdir(dirname(script), { recursive: true });
    await writeFile(script, scriptFor(file));
    await writeFile(
      join(workspace, "flows", name, "flow.toml"),
      `name = "${name}"\nversion = 1\n[[steps]]\nname = "step"\nrunner = "node"\nscript = "exec/step.mjs"\n[steps.trigger]\ntype = "${type}"\n${policy}`,
    );
  }
  return { workspace, marks: async () => parseMarks(await readFile(file, "utf8").catch(() => "")) };
}

export function parseMarks(text: string): Mark[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      const [what, attemptId = "", pid, at] = line.split(" ");
      return { what: what as Mark["what"], attemptId, pid: Number(pid), at: Number(at) };
    });
}
