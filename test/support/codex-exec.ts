/** The real `codex` of this project, as a program that a command line can name. */
import { projectPath } from "../../scripts/project.ts";

export function codexProgram(): string {
  return projectPath("node_modules/.bin/codex");
}
