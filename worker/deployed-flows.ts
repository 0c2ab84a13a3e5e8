/** What is deployed with this Worker, for objects that have to name it. */
import { flows, packageFiles } from "flow-catalog";
import type { DeployedFiles } from "../contract/runner-link.ts";

/** Version and digest of the deployed flow with this name; undefined when no flow of that name is deployed. */
export function deployedFlow(name: string): { version: number; digest: string } | undefined {
  return flows.find((flow) => flow.name === name);
}

/** The files of each deployed flow, as runners get them. */
export function deployedFiles(): DeployedFiles[] {
  return flows.map(({ name, version, digest }) => ({
    type: "files",
    flow: { name, version, digest },
    files: packageFiles[name] ?? [],
  }));
}
