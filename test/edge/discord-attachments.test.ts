/** "Send to Codex" on a message with files: nothing of it is dropped without a word. */
import { expect, test } from "vitest";
import { answered, messageCommand, newServer } from "./support/discord.ts";

interface Attachment {
  filename: string;
  url: string;
}

async function prompt(content: string, attachments: Attachment[]): Promise<string> {
  const server = await newServer();
  const given = messageCommand("Send to Codex", content, { server, by: server.owner });
  const data = given["data"] as { resolved: unknown };
  const resolved = { messages: { "9": { id: "9", content, attachments } } };
  const { data: form, type } = await answered({ ...given, data: { ...data, resolved } });
  expect(type).toBe(9);
  return /"value":("(?:[^"\\]|\\.)*")/.exec(JSON.stringify(form.components))?.[1] ?? "";
}

const file = (name: string): Attachment => ({ filename: name, url: `https://cdn.example/${name}` });

test("its attachments stand below its text, by name and address", async () => {
  expect(await prompt("fix this", [file("a.log"), file("b.png")])).toBe(
    JSON.stringify(
      "fix this\n\nAttached:\na.log: https://cdn.example/a.log\nb.png: https://cdn.example/b.png",
    ),
  );
  expect(await prompt("", [file("a.log")])).toContain("a.log");
});

test("a text that fills the form leaves them room", async () => {
  const value = JSON.parse(await prompt("😀".repeat(2_000), [file("a.log")])) as string;
  expect(value.length).toBeLessThanOrEqual(4_000);
  expect(value).toMatch(/…\n\nAttached:\na\.log: https:\/\/cdn\.example\/a\.log$/);
  expect(value.isWellFormed()).toBe(true);
});

test("without any, it is the text alone", async () => {
  expect(await prompt("fix this", [])).toBe('"fix this"');
});
