/** What a codex step asks people, and what they say to it, over the real Codex and a fake model. */
import { existsSync, readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { folder } from "../support/codex.ts";
import { command, patch, slow, structured, toolCall } from "../support/fake-model/answers.ts";
import { codexBox, runCodexStep, startCodexStep } from "../support/codex-step-life.ts";

const DONE = structured({ status: "completed", message: "done" });
/** Long enough for a busy machine to say something in between. */
const SILENCE_MS = 5_000;
const PROMPT = "---\napproval_policy: never\n---\nDo it.";

describe("approvals and messages", () => {
  const ASKS = "---\napproval_policy: untrusted\n---\nDo it.";

  test("a command waits for leave, and its silence meanwhile does not count", async () => {
    const at = await codexBox([{ answers: [command("touch made-by-codex"), DONE] }]);
    const decided = Promise.withResolvers<{ decision: "accept"; by: string }>();
    const life = await startCodexStep(at, {
      template: ASKS,
      step: { silenceMs: SILENCE_MS },
      watchers: (watchers) => {
        watchers.answer = () => decided.promise;
      },
    });
    await life.until(() => life.watchers.asked.length === 1);
    expect(life.watchers.asked).toMatchObject([
      { id: "a1-1", kind: "command", title: expect.stringContaining("touch made-by-codex") as string },
    ]);
    // Longer than the step may be silent.
    await new Promise((resolve) => setTimeout(resolve, SILENCE_MS + 500));
    decided.resolve({ decision: "accept", by: "Ada" });
    expect((await life.step.ended).reason).toBe("exited");
    expect(readFileSync(join(at.cwd, "made-by-codex"), "utf8")).toBe("");
  });

  test("a change of files shows its diff, without the box's secrets", async () => {
    const value = "s3cr3t-value-0123456789";
    const at = await codexBox([
      {
        answers: [
          patch("*** Add File: a.txt", `+token ${value}`, "*** Update File: step.txt", "@@", "-old", "+new"),
          DONE,
        ],
      },
    ]);
    await writeFile(join(at.cwd, "step.txt"), "old\n");
    const { watchers } = await runCodexStep(at, {
      template: ASKS,
      secrets: [{ name: "TOKEN", value }],
    });
    expect(watchers.asked).toMatchObject([{ kind: "file_change", title: "change a.txt, step.txt" }]);
    const detail = watchers.asked[0]?.detail ?? "";
    expect(detail).toContain("add a.txt\n+token ***\n");
    expect(detail).toMatch(/update step\.txt\n[^]*-old\n\+new/);
    expect(detail).not.toContain(value);
  });

  test("every command that asks for approval is marked dangerous, since an accepted one may leave the sandbox", async () => {
    const escape = { sandbox_permissions: "require_escalated" };
    const outside = join(folder("outside"), "made");
    const at = await codexBox([
      { answers: [command(`touch ${outside}-1`), command(`touch ${outside}-2`, escape), DONE] },
    ]);
    const { watchers } = await runCodexStep(at, {
      template: ASKS,
      watchers: (all) => {
        all.answer = () => ({ decision: "accept", by: "Ada" });
      },
    });
    // Only the command that asked to leave the sandbox surely does. Codex may run the other one again without its sandbox after
    // that has stopped it, but does not always: the product cannot rely on either, so it marks both.
    expect(existsSync(`${outside}-2`)).toBe(true);
    expect(watchers.asked.map(({ dangerous }) => dangerous)).toEqual([true, true]);
  });

  test("a change of files outside is named first, also where one is moved to, and is dangerous", async () => {
    const outside = join(folder("outside"), "moved");
    const many = Array.from({ length: 60 }, (_, n) => [`*** Add File: harmless-${n}.txt`, "+x"]).flat();
    const at = await codexBox([
      {
        answers: [
          patch("*** Add File: in.txt", "+x"),
          patch(...many, "*** Update File: step.txt", `*** Move to: ${outside}`, "@@", "-old", "+new"),
          DONE,
        ],
      },
    ]);
    await writeFile(join(at.cwd, "step.txt"), "old\n");
    const { watchers } = await runCodexStep(at, { template: ASKS });
    expect(watchers.asked).toMatchObject([
      { title: "change in.txt" },
      { title: expect.stringContaining(outside) as string, dangerous: true },
    ]);
    expect(watchers.asked[0]).not.toHaveProperty("dangerous");
    expect(watchers.asked[1]?.detail).toContain(outside);
  });

  test("of a command with a secret across the cut shows no part of it", async () => {
    const value = "s3cr3t-across-the-cut-0123456789";
    const at = await codexBox([{ answers: [command(`echo ${"x".repeat(480)} ${value}`), DONE] }]);
    const life = await runCodexStep(at, { template: ASKS, secrets: [{ name: "TOKEN", value }] });
    expect(life.watchers.asked).toHaveLength(1);
    const told = JSON.stringify([life.watchers.asked, life.told]);
    expect(told).toContain("***");
    expect(told).not.toContain(value.slice(0, 6));
  });

  test("a declined command is not run, and the turn goes on", async () => {
    const at = await codexBox([{ answers: [command("touch not-made"), DONE] }]);
    const life = await runCodexStep(at, { template: ASKS });
    expect(life.results).toMatchObject([{ status: "completed" }]);
    expect(life.items).toContainEqual(expect.objectContaining({ type: "command", outcome: "declined" }));
    expect(() => readFileSync(join(at.cwd, "not-made"))).toThrow();
  });

  test("an answer that ends the turn is the reason that the run has for its end", async () => {
    const at = await codexBox([{ answers: [command("touch not-made"), DONE] }]);
    const { end } = await runCodexStep(at, {
      template: ASKS,
      watchers: (watchers) => {
        watchers.answer = () => ({ decision: "cancel", by: "Ada" });
      },
    });
    expect(end.error?.code).toBe("turn_interrupted");
    expect(end.error?.message).toMatch(/Ada answered cancel to approval a1-1 \(.*touch not-made/);
  });

  test("an answer that ends the turn ends it, also where Codex has no word for that", async () => {
    const wants = toolCall("request_permissions", {
      reason: "to look it up",
      permissions: { network: { enabled: true } },
    });
    const at = await codexBox([{ answers: [wants, slow(DONE, 1_000)] }], {
      config: {
        features: { request_permissions_tool: true, plugins: false, apps: false, shell_snapshot: false },
      },
    });
    const life = await runCodexStep(at, {
      template: "---\napproval_policy: on-request\n---\nDo it.",
      watchers: (watchers) => {
        watchers.answer = () => ({ decision: "cancel", by: "Ada" });
      },
    });
    expect(life.watchers.asked).toMatchObject([{ kind: "permissions" }]);
    expect(life.end.error).toMatchObject({ code: "turn_interrupted" });
    expect(life.results).toEqual([]);
  });

  test("without anybody to ask, nothing is allowed", async () => {
    const at = await codexBox([{ answers: [command("touch not-made"), DONE] }]);
    const life = await runCodexStep(at, { template: ASKS, request: { conversation: undefined } });
    expect(life.items).toContainEqual(expect.objectContaining({ type: "command", outcome: "declined" }));
  });

  test("what is said to an active turn steers it", async () => {
    const at = await codexBox([{ answers: [command("sleep 1"), DONE] }]);
    const life = await startCodexStep(at, { template: PROMPT });
    await life.until(() => life.items.some((item) => item.type === "command"));
    expect(await life.watchers.say("look at the tests, too")).toBe("steered");
    await life.step.ended;
    expect(JSON.stringify(at.model.requests.at(-1)?.input)).toContain("look at the tests, too");
    expect(life.results).toHaveLength(1);
  });
});
