/**
 * The file of `relay parallel`: a task a line, `directory | prompt`; empty lines and lines that begin with `#` are none. A
 * field may stand in double quotes, in which `\"` and `\\` stand for what they show. Pure.
 */
import { RelayCommandError } from "./agents/agent.ts";

/** Sessions of one call: each is an agent on this box, at the same time. */
export const TASKS_MAX = 16;

export interface Task {
  line: number;
  /** As it stands in the file: relative to it. */
  directory: string;
  prompt: string;
}

/** @throws RelayCommandError that names the line */
export function readTasks(text: string, file: string): Task[] {
  const tasks = text.split(/\r?\n/).flatMap((content, index): Task[] => {
    const line = index + 1;
    const trimmed = content.trim();
    if (trimmed === "" || trimmed.startsWith("#")) return [];
    const fault = (why: string): RelayCommandError =>
      new RelayCommandError(`${file}:${line}: ${why}`, "write a task as: directory | prompt");
    const fields = fieldsOf(trimmed);
    if (fields === undefined) throw fault("a quote is not closed");
    const [directory = "", prompt = ""] = fields;
    if (fields.length < 2) throw fault("there is no | in it");
    if (directory === "") throw fault("there is no directory in it");
    if (prompt === "") throw fault("there is no prompt in it");
    return [{ line, directory, prompt }];
  });
  if (tasks.length === 0)
    throw new RelayCommandError(`${file} holds no task`, "write one a line: directory | prompt");
  if (tasks.length > TASKS_MAX)
    throw new RelayCommandError(
      `${file} holds ${tasks.length} tasks; at most ${TASKS_MAX} run at the same time`,
      "make several files of it",
    );
  return tasks;
}

/** The directory and the prompt, cut at the first | that stands outside of quotes; undefined: a quote stays open. */
function fieldsOf(line: string): string[] | undefined {
  const first = fieldAt(line, 0);
  if (first === undefined) return undefined;
  if (line[first.end] !== "|") return [first.text];
  const rest = line.slice(first.end + 1).trim();
  if (!rest.startsWith('"')) return [first.text, rest];
  const second = quoted(rest);
  if (second === undefined) return undefined;
  return [first.text, second.end === rest.length ? second.text : rest];
}

function fieldAt(line: string, from: number): { text: string; end: number } | undefined {
  if (line[from] === '"') {
    const read = quoted(line.slice(from));
    if (read === undefined) return undefined;
    const behind = /^\s*/.exec(line.slice(from + read.end))?.[0].length ?? 0;
    return { text: read.text, end: from + read.end + behind };
  }
  const bar = line.indexOf("|", from);
  const end = bar < 0 ? line.length : bar;
  return { text: line.slice(from, end).trim(), end };
}

/** A text that begins with a quote: what stands between it and the closing one. */
function quoted(text: string): { text: string; end: number } | undefined {
  const match = /^"((?:[^"\\]|\\.)*)"/.exec(text);
  if (match === null) return undefined;
  return { text: (match[1] ?? "").replace(/\\(["\\])/g, "$1"), end: match[0].length };
}
