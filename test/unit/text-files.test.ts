/** Text files that people write: byte order marks, UTF-16 and blank lines never drop a setting. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { loadCatalog } from "../../catalog/load.ts";
import { decodeText, readTextFile } from "../../catalog/text-file.ts";
import { readEvent } from "../../runner-agent/cli/event-input.ts";
import { readProfiles } from "../../runner-agent/cli/profiles.ts";
import { scriptFrontMatter } from "../../runner-agent/codex/code-mode/saved-script.ts";
import { FrontMatterError } from "../../runner-agent/codex/step/front-matter.ts";
import { checkCodexSteps } from "../../runner-agent/codex/step/package-check.ts";
import { PromptTemplateError, readTemplate } from "../../runner-agent/codex/step/prompt-template.ts";
import { readRunnerConfig } from "../../runner-agent/config/runner-config.ts";
import { packageFiles, temporaryFolder, workspaceWith, writeFiles } from "../support/flow-workspace.ts";

const BOM = "\uFEFF";
const PROMPT = "---\nsandbox: read-only\napproval_policy: never\n---\nLook at it.";

function problemOf(read: () => unknown): PromptTemplateError | FrontMatterError {
  try {
    read();
  } catch (error) {
    if (error instanceof PromptTemplateError || error instanceof FrontMatterError) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

describe("front matter of a prompt", () => {
  test.each([
    ["a byte order mark", BOM],
    ["two byte order marks", BOM + BOM],
    ["an empty line", "\n"],
    ["an empty line of Windows", "\r\n"],
    ["a space", " "],
    ["a tab and empty lines", "\t\n \n"],
    ["a byte order mark and an empty line", `${BOM}\n`],
    ["a no-break space", "\u00A0"],
    ["a zero-width space", "\u200B"],
  ])("is read behind %s", (_what, before) => {
    const { fields, text } = readTemplate(before + PROMPT);
    expect(fields).toEqual({ sandbox: "read-only", approval_policy: "never" });
    expect(text).toBe("Look at it.");
  });

  test("is read when white space follows the first fence", () => {
    expect(readTemplate(PROMPT.replace("---\n", "--- \t\r\n")).fields.sandbox).toBe("read-only");
  });

  test.each([
    ["a heading", `# Look\n${PROMPT}`, 3],
    ["a comment", `<!-- look -->\n\n${PROMPT}`, 4],
    ["no first fence", "sandbox: read-only\n---\nLook at it.", 1],
    ["a fence of two dashes", PROMPT.replace("---", "--"), 2],
    ["quoted keys", '# Look\n---\n"network": false\n---\nLook.', 3],
  ])("is refused, not sent to the model, behind %s", (_what, source, line) => {
    const { message, faults } = problemOf(() => readTemplate(source));
    expect(message).toContain("is not in front matter and would have no effect");
    expect(faults).toMatchObject([{ line }]);
  });

  test.each(["Explain `sandbox: read-only`.\n---\nThen stop.", "Look.\n---\nsandbox: what is it?"])(
    "is not seen in a text that only speaks of settings: %j",
    (source) => {
      expect(readTemplate(source).text).toBe(source);
    },
  );
});

describe("front matter of a code-mode script", () => {
  const SCRIPT = "/*---\nsandbox: read-only\n---*/\ntext('x');";
  test.each(["", BOM, "\n", " ", "// a comment\n", "\u200B"])("is read behind %j", (before) => {
    expect(scriptFrontMatter(before + SCRIPT)).toEqual({ sandbox: "read-only" });
  });

  test.each([
    ["", 1],
    ["// a comment\n", 2],
  ])("that does not close is refused, also behind %j", (before, line) => {
    const { faults } = problemOf(() => scriptFrontMatter(before + SCRIPT.replace("\n---*/", "\n  ---*/")));
    expect(faults).toMatchObject([{ line, message: expect.stringContaining("is not closed") as string }]);
  });
});

test("flows check names the line of every wrong key of a prompt and of every placeholder", async () => {
  const workspace = await workspaceWith({
    "flows/a/flow.toml":
      'name = "a"\nversion = 1\n[[steps]]\nname = "one"\nrunner = "codex"\nscript = "one.md"\n[[steps]]\nname = "two"\nrunner = "codex"\nscript = "two.md"\n',
    "flows/a/one.md": `${BOM}\n---\nmodel: m\nsandbocks: read-only\nnetwork: maybe\n---\nLook.`,
    "flows/a/two.md": "---\nmodel: m\n---\n\nLook at {{config.one}}\nand {{config.two}}.",
  });
  const { packages } = await loadCatalog(workspace);
  expect(checkCodexSteps(packages).faults.map(({ line, column, path }) => [line, column, path])).toEqual([
    [4, 1, ""],
    [5, 1, ""],
    [5, 9, "{{config.one}}"],
    [6, 5, "{{config.two}}"],
  ]);
});

test("a byte order mark before a manifest, a trigger schema, a prompt and runner.toml changes nothing", async () => {
  const files = {
    ...packageFiles("flows/a", "a", { schema: { type: "object" } }),
    ".codex/runner.toml": "capacity = 3\n",
  };
  const workspace = await workspaceWith(files);
  await writeFiles(
    workspace,
    Object.fromEntries(Object.entries(files).map(([path, text]) => [path, BOM + text])),
  );
  const { packages, faults } = await loadCatalog(workspace);
  expect(faults).toEqual([]);
  expect(packages[0]?.schemas["run"]?.schema).toEqual({ type: "object" });
  expect((await readRunnerConfig({ workspace })).capacity).toBe(3);
});

test("a byte order mark before an event file and a profile changes nothing", async () => {
  const folder = await temporaryFolder();
  const event = join(folder, "event.json");
  await writeFile(event, `${BOM}{"id":"e:1","type":"demo.hello"}`);
  expect(await readEvent(event, {})).toMatchObject({ id: "e:1", type: "demo.hello" });
  const profiles = join(folder, "profiles.toml");
  await writeFile(profiles, `${BOM}[default]\nurl = "http://edge.test"\n`, { mode: 0o600 });
  expect((await readProfiles(profiles)).get("default")).toMatchObject({ url: "http://edge.test" });
});

test("a file in UTF-16, with or without its mark, or in Latin-1 is refused with the remedy", async () => {
  const folder = await temporaryFolder();
  const file = join(folder, "prompt.md");
  const utf16 = Buffer.from(PROMPT, "utf16le");
  for (const bytes of [
    utf16,
    Buffer.concat([Buffer.from([0xff, 0xfe]), utf16]),
    Buffer.from("Größe", "latin1"),
  ]) {
    await writeFile(file, bytes);
    await expect(readTextFile(file)).rejects.toThrow("is not UTF-8 text: save it as UTF-8");
  }
  expect(decodeText(Buffer.from("Größe"))).toBe("Größe");
});
