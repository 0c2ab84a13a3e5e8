/**
 * The user's own CODEX_HOME stays as it is, however a run ends: no file of it is changed, made, removed or given other
 * rights. The one exception is by design, and none of these runs needs it: a refreshed login, through the link.
 */
import { createHash } from "node:crypto";
import { chmodSync, lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { expect, test } from "vitest";
import { codexBox, startCodexStep, type CodexBox, type CodexLife } from "../support/codex-step-life.ts";
import { command, held, patch, structured } from "../support/fake-model/answers.ts";
import { processesWith } from "../support/run-processes.ts";

const DONE = structured({ status: "completed", message: "done" });
const TEMPLATE = "---\napproval_policy: never\nsession: auto\n---\nDo it.";

/** What people have there, and Codex writes to where it is its own. */
const SEED: Record<string, string> = {
  "config.toml": `model = "gpt-of-the-user"\n[projects."/home/user/work"]\ntrust_level = "trusted"\n`,
  "auth.json": JSON.stringify({ OPENAI_API_KEY: "sk-of-the-user" }),
  "history.jsonl": `{"text":"earlier"}\n`,
  "AGENTS.md": "Be brief.\n",
  "hooks.json": `{"hooks":{}}`,
  "version.json": `{"latest_version":"0.1.0"}`,
  "skills/mine/SKILL.md": "---\nname: mine\ndescription: mine\n---\n",
  "sessions/2026/01/01/rollout-2026-01-01T00-00-00-01a20b0c-c571-7df1-bbd6-d6b5c427e3ca.jsonl": "{}\n",
  "log/codex-tui.log": "a line\n",
};

function seeded({ home }: CodexBox): string {
  const own = join(home, "..", "of-the-user");
  for (const [path, text] of Object.entries(SEED)) {
    mkdirSync(dirname(join(own, path)), { recursive: true });
    writeFileSync(join(own, path), text);
  }
  chmodSync(join(own, "auth.json"), 0o600);
  return own;
}

/** Every file and folder below, with its kind and rights, and what is in it. */
function digestOf(root: string): Record<string, string> {
  const entries = readdirSync(root, { recursive: true, withFileTypes: true }).map((entry) => {
    const path = join(entry.parentPath, entry.name);
    const content = entry.isFile() ? createHash("sha256").update(readFileSync(path)).digest("hex") : "";
    return [relative(root, path), `${lstatSync(path).mode.toString(8)} ${content}`] as const;
  });
  return Object.fromEntries(entries.sort(([a], [b]) => a.localeCompare(b)));
}

function killAppServer({ home }: CodexBox): void {
  const servers = processesWith("cmdline", "app-server");
  for (const pid of processesWith("environ", `CODEX_HOME=${home}`))
    if (servers.includes(pid)) process.kill(Number(pid), "SIGKILL");
}

const ENDS: Array<[string, string, (life: CodexLife) => void]> = [
  ["completed", "exited", () => undefined],
  ["canceled", "canceled", (life) => life.step.cancel("canceled")],
  ["killed", "abandoned", killAppServer],
];

test.each(ENDS)("a run that is %s leaves every file as it was", async (how, reason, end) => {
  const last = how === "completed" ? DONE : held(DONE);
  const at = await codexBox([
    { answers: [patch("*** Add File: a.txt", "+one"), command("touch b; echo $CODEX_HOME"), last] },
  ]);
  const own = seeded(at);
  const before = digestOf(own);
  expect(Object.keys(before).length).toBeGreaterThan(Object.keys(SEED).length);
  const life = await startCodexStep(at, { template: TEMPLATE });
  if (how !== "completed")
    await life.until(() => life.items.some((item) => item.type === "command" && item.state === "completed"));
  end(life);
  expect((await life.step.ended).reason).toBe(reason);
  await at.box.stop();
  expect(digestOf(own)).toEqual(before);
});
