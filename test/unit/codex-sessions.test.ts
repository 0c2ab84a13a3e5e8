/** Which thread goes on where, when the disk does not take it. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setImmediate as written } from "node:timers/promises";
import { expect, test } from "vitest";
import { Sessions } from "../../runner-agent/codex/sessions.ts";
import { folder } from "../support/codex.ts";

test("what the disk does not take is remembered all the same, said once, and written when it can be", async () => {
  const file = join(folder("sessions"), "below", "sessions.json");
  const said: string[] = [];
  const sessions = new Sessions(file, (why) => said.push(why));
  sessions.remember(["a"], "thread_1");
  await written();
  // A file where its directory was.
  const directory = join(file, "..");
  rmSync(directory, { recursive: true });
  writeFileSync(directory, "");
  sessions.remember(["b"], "thread_2");
  sessions.noteUse("b", { tokens: 7 });
  sessions.forget(["a"]);
  await written();
  expect([sessions.find("a"), sessions.find("b"), sessions.useOf("b")]).toEqual([
    undefined,
    "thread_2",
    { tokens: 7 },
  ]);
  expect(said).toEqual([expect.stringContaining("EEXIST")]);
  rmSync(directory);
  mkdirSync(directory);
  sessions.noteUse("b", { tokens: 8 });
  expect(new Sessions(file).useOf("b")).toEqual({ tokens: 8 });
  rmSync(directory, { recursive: true });
  writeFileSync(directory, "");
  sessions.forget(["b"]);
  await written();
  expect(said).toHaveLength(2);
});
