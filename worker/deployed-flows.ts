/** What is deployed with this Worker, for objects that have to name it. */
import { flows } from "flow-catalog";

/** Version and digest of a flow as it is deployed now; undefined when no such flow is. */
export function deployedFlow(name: string): { version: number; digest: string } | undefined {
  return flows.find((flow) => flow.name === name);
}
