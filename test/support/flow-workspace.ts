/** Workspaces with flow packages in temporary folders, for tests. Each is removed when its test is over. */
import { mkdir, mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, onTestFinished } from "vitest";

/** Runs something when a test is over (`onTestFinished`), or a whole file (`atEndOfFile`). */
export type AtEnd = (clean: () => Promise<void> | void) => void;

/**
 * For what the tests of a file share: run when they are over, the last first. To be called at the top of the file: an
 * `afterAll` that is called in a `beforeAll` or in a test does nothing, and says nothing.
 */
export function atEndOfFile(): AtEnd {
  const cleanings: Parameters<AtEnd>[0][] = [];
  afterAll(async () => {
    for (const clean of cleanings.reverse()) await clean();
  });
  return (clean) => {
    cleanings.push(clean);
  };
}

/** A new folder, as an absolute path without symbolic links. */
export async function temporaryFolder(atEnd: AtEnd = onTestFinished): Promise<string> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), "codex-flow-test-")));
  atEnd(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Writes files by their paths relative to the folder. */
export async function writeFiles(folder: string, files: Record<string, string>): Promise<void> {
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), content);
  }
}

/** A workspace that holds these files. */
export async function workspaceWith(files: Record<string, string>): Promise<string> {
  const folder = await temporaryFolder();
  await writeFiles(folder, files);
  return folder;
}

/** The files of a package with one step "run"; with a schema, the step is triggered by `<name>.event`. */
export function packageFiles(
  folder: string,
  name: string,
  {
    schema,
    script = "export default () => ({ status: 'completed' });",
  }: { schema?: unknown; script?: string } = {},
): Record<string, string> {
  const trigger = `\n[steps.trigger]\ntype = "${name}.event"\nschema = "schema.json"\n`;
  return {
    [`${folder}/flow.toml`]: `name = "${name}"
version = 1

[[steps]]
name = "run"
runner = "bun"
script = "exec/run.ts"
${schema === undefined ? "" : trigger}`,
    [`${folder}/exec/run.ts`]: script,
    ...(schema === undefined ? {} : { [`${folder}/schema.json`]: JSON.stringify(schema) }),
  };
}
