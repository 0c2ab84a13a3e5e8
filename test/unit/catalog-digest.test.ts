/** A digest names exactly the files of a package: nothing else changes it, and every change of theirs does. */
import fc from "fast-check";
import { mkdir, rename, rm, symlink, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { digestPackage, PackageWatch } from "../../catalog/digest.ts";
import { listPackageFiles } from "../../catalog/package-files.ts";
import { temporaryFolder, workspaceWith, writeFiles } from "../support/flow-workspace.ts";

const RUNS = { numRuns: 30 };
const segment = fc.stringMatching(/^[a-z][a-z0-9 _é-]{0,6}$/);
/** Folders and files never share a name, since the files' names end differently. */
const path = fc
  .tuple(fc.array(segment, { maxLength: 2 }), segment)
  .map(([folders, file]) => [...folders, `${file}.x`].join("/"));
const files = fc.uniqueArray(fc.tuple(path, fc.string()), {
  minLength: 1,
  maxLength: 6,
  selector: ([at]) => at,
});

async function packageOf(entries: [string, string][]): Promise<string> {
  return workspaceWith(Object.fromEntries(entries));
}

test("the order in which files were made does not matter", async () => {
  await fc.assert(
    fc.asyncProperty(
      files.chain((entries) =>
        fc.tuple(fc.constant(entries), fc.shuffledSubarray(entries, { minLength: entries.length })),
      ),
      async ([entries, shuffled]) => {
        const digest = await digestPackage(await packageOf(entries));
        expect(digest).toMatch(/^sha256:[0-9a-f]{32}$/);
        expect(await digestPackage(await packageOf(shuffled))).toBe(digest);
      },
    ),
    RUNS,
  );
});

test("any changed byte, moved file or missing file changes it, and undoing that restores it", async () => {
  await fc.assert(
    fc.asyncProperty(
      files,
      fc.nat(),
      fc.nat(),
      fc.integer({ min: 1, max: 255 }),
      async (entries, pick, offset, flip) => {
        const [name, content] = entries[pick % entries.length] ?? ["", ""];
        const root = await packageOf(entries);
        const file = join(root, name);
        const digest = await digestPackage(root);

        const bytes = Buffer.from(content.length === 0 ? "." : content);
        const at = offset % bytes.length;
        bytes[at] = (bytes[at] ?? 0) ^ flip;
        await writeFile(file, bytes);
        expect(await digestPackage(root)).not.toBe(digest);

        await writeFile(file, content);
        await rename(file, `${file}y`);
        expect(await digestPackage(root)).not.toBe(digest);
        await rename(`${file}y`, file);
        expect(await digestPackage(root)).toBe(digest);
        await unlink(file);
        expect(await digestPackage(root)).not.toBe(digest);
      },
    ),
    RUNS,
  );
});

test("bytes cannot wander between a name and a content, or between two files", async () => {
  const roots: Record<string, string>[] = [
    { a: "b\0c", d: "" },
    { a: "b", "c\nd": "" },
    { ab: "\0c", d: "" },
    { a: "b\0c\0d" },
    { a: "", b: "" },
  ];
  const digests = await Promise.all(
    roots.map(async (content) => digestPackage(await workspaceWith(content))),
  );
  expect(new Set(digests).size).toBe(roots.length);
});

test("node_modules and names with a leading dot are left out, at any depth", async () => {
  const root = await workspaceWith({ "flow.toml": "x", "exec/run.ts": "y" });
  const digest = await digestPackage(root);
  await writeFiles(root, {
    ".DS_Store": "1",
    ".git/HEAD": "2",
    "node_modules/a/index.js": "3",
    "exec/.swp": "4",
    "exec/node_modules/b/index.js": "5",
  });
  await mkdir(join(root, "empty"));
  expect(await digestPackage(root)).toBe(digest);
});

test("a symbolic link counts by where it points and is not followed", async () => {
  const outside = await workspaceWith({ "a.ts": "1" });
  const root = await workspaceWith({ "flow.toml": "x", "b.ts": "1", "c.ts": "1" });
  await symlink("b.ts", join(root, "link.ts"));
  const digest = await digestPackage(root);
  await rm(join(root, "link.ts"));
  await symlink("c.ts", join(root, "link.ts"));
  expect(await digestPackage(root)).not.toBe(digest);

  await symlink(outside, join(root, "folder"));
  const linked = await digestPackage(root);
  await writeFile(join(outside, "a.ts"), "2");
  expect(await digestPackage(root)).toBe(linked);
});

test("a watch gives the digest of the listed files as they are, whatever changed since it last looked", async () => {
  const root = await workspaceWith({ "flow.toml": "x", "exec/run.ts": "one" });
  const files = await listPackageFiles(root);
  const watch = new PackageWatch();
  const { digest: first } = await watch.digest(root, files);
  expect(first).toBe(await digestPackage(root));
  expect((await watch.digest(root, files)).digest).toBe(first);

  await writeFile(join(root, "exec/run.ts"), "two");
  const { digest: second } = await watch.digest(root, files);
  expect(second).not.toBe(first);
  expect(second).toBe(await digestPackage(root));

  await writeFile(join(root, "exec/run.ts"), "one");
  await writeFile(join(root, "exec/more.ts"), "");
  expect((await watch.digest(root, files)).digest).toBe(first);
  expect((await watch.digest(root, [...files, "exec/more.ts"])).digest).toBe(await digestPackage(root));
  await unlink(join(root, "exec/run.ts"));
  expect((await watch.digest(root, files)).digest).not.toBe(first);
});

test("a package that is gone is told, not taken for unchanged", async () => {
  const root = join(await temporaryFolder(), "package");
  await writeFiles(root, { "flow.toml": "x" });
  const watch = new PackageWatch();
  await watch.digest(root, ["flow.toml"]);
  await rm(root, { recursive: true });
  await expect(watch.digest(root, ["flow.toml"])).rejects.toThrow("ENOENT");
});

test("what tools write into a package while a step runs does not change its digest", async () => {
  const root = await workspaceWith({
    "flow.toml": "x",
    "exec/run.py": "import helper",
    "exec/helper.py": "1",
  });
  const before = await digestPackage(root);
  await writeFiles(root, {
    "exec/__pycache__/helper.cpython-313.pyc": "bytes",
    "exec/helper.pyc": "bytes",
    "run.log": "ran",
    "tsconfig.tsbuildinfo": "{}",
    "coverage/lcov.info": "TN:",
  });
  expect(await digestPackage(root)).toBe(before);
  await writeFiles(root, { "exec/helper.py": "2" });
  expect(await digestPackage(root)).not.toBe(before);
});
