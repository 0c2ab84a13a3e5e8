/**
 * Has the installed Codex write the types of its app-server protocol, experimental part included, into
 * runner-agent/codex/generated/. They are never committed: another version of the package is another protocol.
 *
 * Codex writes a file a type, which stay as they are but for one thing: its counters are declared as `bigint` and
 * come as JSON numbers. `methods.ts` is added: which result belongs to which request. Codex does not say it in
 * TypeScript, but names both alike (`ThreadStartParams`, `ThreadStartResponse`); a method of which that is not true
 * answers `unknown`.
 */
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { findCodex, installedCodex } from "../runner-agent/codex/codex-program.ts";
import { projectPath } from "./project.ts";

const FOLDER = "runner-agent/codex/generated";
/** Which Codex the types are of, and which form of this script made them. */
const STAMP = "version.txt";
const FORM = 1;

/** Does nothing when the types of this version are there. Only type checks need them, so a box without Codex builds. */
export async function buildCodexProtocol(): Promise<void> {
  const codex = installedCodex();
  if (codex === undefined) {
    console.warn(`@openai/codex is not installed: ${FOLDER} is left as it is, and types cannot be checked`);
    return;
  }
  const stamp = `${codex.version} ${FORM}\n`;
  const folder = projectPath(FOLDER);
  const made = await readFile(join(folder, STAMP), "utf8").catch(() => undefined);
  if (made === stamp) return;
  const work = await mkdtemp(`${folder}.`);
  const home = await mkdtemp(join(tmpdir(), "codex-protocol-"));
  try {
    const { file, args } = findCodex();
    const generate = ["app-server", "generate-ts", "--experimental", "--out", work];
    await execa(file, [...args, ...generate], { env: { CODEX_HOME: home } });
    await withNumbers(work);
    await writeFile(join(work, "methods.ts"), await methods(work));
    await writeFile(join(work, STAMP), stamp);
    await rm(folder, { recursive: true, force: true });
    await rename(work, folder);
  } finally {
    await rm(work, { recursive: true, force: true });
    await rm(home, { recursive: true, force: true });
  }
}

async function withNumbers(folder: string): Promise<void> {
  for (const path of await readdir(folder, { recursive: true })) {
    if (!path.endsWith(".ts")) continue;
    const text = await readFile(join(folder, path), "utf8");
    if (/\bbigint\b/.test(text))
      await writeFile(join(folder, path), text.replaceAll(/\bbigint\b/g, "number"));
  }
}

async function methods(folder: string): Promise<string> {
  const used = new Map<string, string>();
  const table = async (name: string, union: string): Promise<string> => {
    const text = await readFile(join(folder, `${union}.ts`), "utf8");
    const rows = [...text.matchAll(/"method": "([^"]+)", id: RequestId, params(\??): ([^,}]+),/g)].map(
      ([, method = "", optional = "", params = ""]) => {
        const base = /^(\w+)Params\b/.exec(params)?.[1];
        const result = base === undefined ? undefined : `${base}Response`;
        const known = [`${base}Params`, result].map((type) => {
          const path = ["v2", "."].find((at) => existsSync(join(folder, at, `${type}.ts`)));
          if (type !== undefined && path !== undefined)
            used.set(type, `./${path}/${type}`.replace("/./", "/"));
          return path !== undefined;
        });
        const answer = known[1] === true && result !== undefined ? result : "unknown";
        const given = optional === "" ? params.trim() : `${params.trim()} | undefined`;
        return `  "${method}": { params: ${given}; result: ${answer} };`;
      },
    );
    if (rows.length === 0) throw new Error(`${union}.ts of this Codex has another form: no method was found`);
    return [`export interface ${name} {`, ...rows, "}"].join("\n");
  };
  const tables = [
    await table("ClientMethods", "ClientRequest"),
    await table("ServerMethods", "ServerRequest"),
  ];
  const imports = [...used].map(([type, path]) => `import type { ${type} } from "${path}";`);
  return [...imports, "", ...tables, ""].join("\n");
}
