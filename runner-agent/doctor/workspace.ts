/** What the box itself brings: its configuration and the flow packages of its workspace. */
import { homedir } from "node:os";
import { loadCatalog } from "../../catalog/load.ts";
import { describeFault } from "../../catalog/fault.ts";
import { missingProjects, projectPaths } from "../config/projects.ts";
import type { Check } from "./check.ts";

export const configCheck: Check = {
  name: "runner.toml",
  probe: ({ config, canRead }) => {
    if ("fault" in config)
      return {
        state: "missing",
        found: config.fault,
        fix: "correct the file; the agent does not start with it",
      };
    return { state: "ok", found: canRead(config.file) ? config.file : "absent: all defaults" };
  },
};

/** A folder that is away costs the runs that ask for it, and nothing else. */
export const projectsCheck: Check = {
  name: "projects",
  probe: ({ config, workspace, environment, isDirectory }) => {
    if ("fault" in config) return { state: "warn", found: "not looked at: runner.toml cannot be used" };
    const home = environment["HOME"] ?? homedir();
    const paths = projectPaths(config.value.projects, { workspace, home });
    const [first, ...others] = missingProjects(paths, isDirectory);
    if (first !== undefined)
      return {
        state: "warn",
        found: `${first}${others.length === 0 ? "" : `, and ${others.length} more`}`,
        fix: `make the folder, or correct [projects] in ${config.file}; runs that ask for it fail`,
      };
    return { state: "ok", found: Object.keys(paths).join(", ") || "none" };
  },
};

export const flowsCheck: Check = {
  name: "flows",
  probe: async ({ workspace, canRead }) => {
    if (!canRead(workspace))
      return {
        state: "missing",
        found: `there is no workspace ${workspace}`,
        fix: "give the folder with the flow packages by --workspace",
      };
    const { packages, faults } = await loadCatalog(workspace);
    const [first] = faults;
    if (first !== undefined)
      return {
        state: packages.length === 0 ? "missing" : "warn",
        found: `${packages.length} usable, and not offered: ${describeFault(first)}${faults.length > 1 ? `, and ${faults.length - 1} more faults` : ""}`,
        fix: `codex-flow flows check --workspace ${workspace}`,
      };
    if (packages.length === 0)
      return {
        state: "warn",
        found: `no flow packages in ${workspace}`,
        fix: "give another --workspace, or make one: codex-flow flows new <name>",
      };
    return { state: "ok", found: packages.map(({ flow }) => flow.name).join(", ") };
  },
};
