/** The project's own wrangler, as people call it. */
import { execa } from "execa";
import { projectPath } from "../scripts/project.ts";

export async function wrangler(...words: string[]): Promise<void> {
  await execa("wrangler", words, { cwd: projectPath(), preferLocal: true, localDir: projectPath() });
}
