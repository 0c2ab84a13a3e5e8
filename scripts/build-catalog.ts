/** Compiles the flow packages of a workspace for the Worker. */
import { isAbsolute, resolve } from "node:path";
import { compileCatalog } from "../catalog/compile.ts";
import { projectPath } from "./project.ts";

/** @param workspace folder whose .codex/flows and flows are compiled; @param output the module to write */
export async function buildCatalog(
  workspace = ".",
  output = "worker/catalog/generated/catalog.js",
): Promise<void> {
  await compileCatalog(fromProject(workspace), fromProject(output));
}

function fromProject(path: string): string {
  return isAbsolute(path) ? path : resolve(projectPath(), path);
}
