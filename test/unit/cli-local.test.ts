/** `codex-flow fire` and `codex-flow run`: steps run by the program itself, without an edge, as its users see it. */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { once } from "node:events";
import { cp, readFile } from "node:fs/promises";
import { join } from "node:path";
import { text as readAll } from "node:stream/consumers";
import { stringify } from "smol-toml";
import { describe, expect, onTestFinished, test } from "vitest";
import { EXIT } from "../../runner-agent/cli/exit-codes.ts";
import { processStart } from "../../runner-agent/steps/process-tree.ts";
import { projectPath } from "../../scripts/project.ts";
import { PROGRAM } from "../support/command-line.ts";
import { fakeModel, folder } from "../support/codex.ts";
import { patch, structured } from "../support/fake-model/answers.ts";
import { fakeModelConfig, writeModelCatalog } from "../support/fake-model/codex-home.ts";
import { packageFiles, workspaceWith, writeFiles } from "../support/flow-workspace.ts";
import { ENDLESS, nodePackage, RAW } from "../support/local-flows.ts";
import { processesWith } from "../support/run-processes.ts";
import { until } from "../support/until.ts";

const STEP = `${RAW} console.log("to the log"); console.error("to the log, too");
  result({ status: flow.event.payload.status, message: "said by " + runtime.runId, artifacts: { runtime, url: process.env.CODEX_FLOW_URL } });`;
const SCHEMA = { required: ["status"], properties: { status: { type: "string" } } };

/** A program that runs, with an event on its standard input. It is gone when its test is over. */
function start(cwd: string, words: string[], event: unknown, more: Record<string, string> = {}) {
  const child = spawn(process.execPath, [PROGRAM, ...words], {
    cwd,
    env: { PATH: process.env["PATH"], HOME: cwd, MY_TOKEN: "a-value-that-is-secret", ...more },
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  child.stdin.end(JSON.stringify(event));
  return child;
}

async function codexFlow(cwd: string, words: string[], event: unknown, more?: Record<string, string>) {
  const child = start(cwd, words, event, more);
  const ended = once(child, "exit") as Promise<[number | null]>;
  const [out, err, [code]] = await Promise.all([readAll(child.stdout), readAll(child.stderr), ended]);
  return { code, out, err };
}

const event = (status: string, id = "e:1") => ({ id, type: "step.event", payload: { status } });
const workspace = () => workspaceWith(nodePackage("step", STEP, { schema: SCHEMA }));
const FIRE = ["fire", "--event", "-"];
const RUN = ["run", "step", "run", "--event", "-"];

describe("fire", () => {
  test("a step that wants a worktree is not run in somebody's checkout instead, and says why", async () => {
    const step = `${RAW} appendFileSync("../../touched", "by a step"); result({ status: "completed" });`;
    const cwd = await workspaceWith(nodePackage("step", step, { toml: 'workspace = "worktree"' }));
    const { code, out } = await codexFlow(cwd, FIRE, event("completed"));
    expect([code, out]).toEqual([
      EXIT.bad,
      expect.stringMatching(/a git worktree.*\(worktree_unavailable\)/),
    ]);
    expect(existsSync(join(cwd, "touched"))).toBe(false);
  });

  test("prints what steps say on standard error while they say it, and how they ended on standard output", async () => {
    const { code, out, err } = await codexFlow(await workspace(), FIRE, event("completed"));
    expect(code).toBe(EXIT.ok);
    expect(out).toMatch(/^step\/run {2}completed {2}.*said by run_/);
    expect(out).not.toContain("to the log");
    expect(err).toMatch(/to the log\n/);
    expect(err).toMatch(/to the log, too\n/);
  });

  test("with --json prints the ancestor's document and nothing else", async () => {
    const { code, out, err } = await codexFlow(await workspace(), [...FIRE, "--json"], event("changed"));
    expect([code, err]).toEqual([EXIT.ok, ""]);
    expect(JSON.parse(out)).toMatchObject({
      eventId: "e:1",
      results: [{ flow: "step", step: "run", result: { status: "changed" } }],
    });
  });

  test.each([["failed"], ["blocked"], ["needs_intervention"]])(
    "ends with another code when a step says %s",
    async (status) => {
      const { code, out } = await codexFlow(await workspace(), FIRE, event(status));
      expect(code).toBe(EXIT.bad);
      expect(out).toContain(`step/run  ! ${status}`);
    },
  );

  test("gives a step that ends without a result one that says so", async () => {
    const cwd = await workspaceWith(nodePackage("step", "process.exit(4);"));
    const { code, out } = await codexFlow(cwd, [...FIRE, "--json"], event("x"));
    expect(code).toBe(EXIT.bad);
    expect(JSON.parse(out)).toMatchObject({
      results: [
        {
          result: { status: "failed", message: expect.stringContaining("4") as string },
          errorCode: "exit_code",
        },
      ],
    });
  });

  test("fire ends with 1 and says why when nothing started: no step waits for the type, or the payload has faults", async () => {
    const cwd = await workspace();
    const other = await codexFlow(cwd, FIRE, { id: "o:1", type: "other" });
    expect([other.code, other.out]).toEqual([
      EXIT.bad,
      expect.stringContaining("no step here waits for events of type other"),
    ]);
    const faulty = await codexFlow(cwd, FIRE, { id: "o:2", type: "step.event", payload: { status: 7 } });
    expect(faulty.out).toContain("step/run");
    expect(faulty.out).toContain("/payload/status must be string");
    const document = await codexFlow(cwd, [...FIRE, "--json"], { id: "o:2", type: "step.event" });
    expect(JSON.parse(document.out)).toMatchObject({
      results: [],
      misses: [{ flow: "step", step: "run", errors: [{ path: "/payload/status", message: "is required" }] }],
    });
  });

  test("names the faults of a broken package, and fails when nothing else started", async () => {
    const cwd = await workspaceWith({ "flows/bad/flow.toml": "name = 7\n" });
    const { code, err } = await codexFlow(cwd, FIRE, event("completed"));
    expect(code).toBe(EXIT.bad);
    expect(err).toContain("broken package: flows/bad/flow.toml:1:");
  });

  test("fire takes the event as an operand or from flags, as dispatch does", async () => {
    const cwd = await workspaceWith(packageFiles("flows/step", "step", { schema: {} }));
    const flags = await codexFlow(cwd, ["fire", "--type", "step.event", "--payload", "{}", "--json"], {});
    expect([flags.code, JSON.parse(flags.out)]).toMatchObject([EXIT.ok, { results: [{ flow: "step" }] }]);
    const operand = await codexFlow(cwd, ["fire", "-", "--json"], { type: "step.event" });
    expect([operand.code, JSON.parse(operand.out)]).toMatchObject([EXIT.ok, { results: [{ flow: "step" }] }]);
  });

  test("runs the same event each time, and with --state once", async () => {
    const cwd = await workspace();
    const ids = async (words: string[]) => {
      const { out } = await codexFlow(cwd, [...FIRE, "--json", ...words], event("completed"));
      const { status, results } = JSON.parse(out) as {
        status?: string;
        results: Array<{ result: { artifacts: unknown } }>;
      };
      return { status, count: results.length };
    };
    expect([await ids([]), await ids([])].map(({ status }) => status)).toEqual([undefined, undefined]);
    expect(await ids(["--state"])).toEqual({ status: undefined, count: 1 });
    expect(await ids(["--state"])).toEqual({ status: "duplicate", count: 1 });
    const { code } = await codexFlow(cwd, [...FIRE, "--state"], event("blocked"));
    expect(code).toBe(EXIT.conflict);
  });

  test("refuses what is no event with its faults, and a file that is not there with its name", async () => {
    const cwd = await workspace();
    const bad = await codexFlow(cwd, FIRE, { id: "", type: "x" });
    expect([bad.code, bad.err]).toEqual([EXIT.rejected, expect.stringContaining("/id ")]);
    const none = await codexFlow(cwd, ["fire", "--event", "nowhere.json"], {});
    expect([none.code, none.err]).toEqual([EXIT.usage, expect.stringContaining("nowhere.json")]);
    const missing = await codexFlow(cwd, ["fire"], {});
    expect([missing.code, missing.err]).toEqual([EXIT.usage, expect.stringContaining("name a file")]);
    const twice = await codexFlow(cwd, ["fire", "--event", "a.json", "b.json"], {});
    expect([twice.code, twice.err]).toEqual([EXIT.usage, expect.stringContaining("given twice")]);
  });
});

describe("run", () => {
  test("asks neither trigger nor schema", async () => {
    const cwd = await workspaceWith(
      nodePackage("step", STEP.replace("flow.event.payload.status", "'skipped'"), { schema: SCHEMA }),
    );
    const { code, out } = await codexFlow(cwd, [...RUN, "--json"], { id: "r:1", type: "another type" });
    expect(code).toBe(EXIT.ok);
    expect(JSON.parse(out)).toMatchObject({ flow: "step", step: "run", result: { status: "skipped" } });
  });

  test("passes on the ids, the replay and the url of a program that has it run", async () => {
    const flags = ["--run-id", "run_8e1e59653122", "--attempt-id", "run_8e1e59653122_a3", "--replay"];
    const url = ["--workspace-backend-url", "ws://127.0.0.1:1"];
    const { out } = await codexFlow(
      await workspace(),
      [...RUN, "--json", ...flags, ...url],
      event("completed"),
    );
    expect(JSON.parse(out)).toMatchObject({
      runId: "run_8e1e59653122",
      result: {
        artifacts: {
          runtime: { runId: "run_8e1e59653122", attemptId: "run_8e1e59653122_a3", replay: true },
          url: "ws://127.0.0.1:1",
        },
      },
    });
  });

  test("takes the ancestor's attempt id, which is the run's, and refuses one of another run", async () => {
    const cwd = await workspace();
    const same = [...RUN, "--json", "--run-id", "r1", "--attempt-id", "r1"];
    expect(JSON.parse((await codexFlow(cwd, same, event("completed"))).out)).toMatchObject({ runId: "r1" });
    const other = await codexFlow(
      cwd,
      [...RUN, "--run-id", "r1", "--attempt-id", "r2_a1"],
      event("completed"),
    );
    expect([other.code, other.err]).toEqual([EXIT.usage, expect.stringContaining("--attempt-id r2_a1")]);
  });

  test("of an unknown flow or step lists those that are there, and those that are broken", async () => {
    const cwd = await workspaceWith({
      ...nodePackage("step", STEP),
      "flows/bad/flow.toml": `name = "bad"\n`,
    });
    const flow = await codexFlow(cwd, ["run", "bad", "run", "--event", "-"], event("completed"));
    expect(flow.code).toBe(EXIT.notFound);
    expect(flow.err).toContain("Unknown flow: bad; known in");
    expect(flow.err).toContain(": step\n");
    expect(flow.err).toContain("flows/bad/flow.toml:1:1");
    const step = await codexFlow(cwd, ["run", "step", "walk", "--event", "-"], event("completed"));
    expect([step.code, step.err]).toEqual([
      EXIT.notFound,
      expect.stringContaining("Unknown step walk in flow step; known in it: run"),
    ]);
  });

  test("shows no secret that the step prints", async () => {
    const cwd = await workspaceWith({
      ...nodePackage(
        "step",
        `${RAW} console.log(process.env.MY_TOKEN); result({ status: "completed", message: process.env.MY_TOKEN });`,
      ),
      ".codex/runner.toml": `[env]\npass = ["MY_TOKEN"]\n`,
    });
    const { code, out, err } = await codexFlow(cwd, RUN, event("completed"));
    expect(code).toBe(EXIT.ok);
    expect(out + err).not.toContain("a-value-that-is-secret");
  });

  test.each(["SIGINT", "SIGTERM"] as const)(
    "ended by %s ends the step's whole tree, and says so",
    async (signal) => {
      const offspring = `import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
      appendFileSync("../../pids", spawn("sleep", ["1000"], { stdio: "ignore" }).pid + "\\n");`;
      const step = ENDLESS.replace(/process\.on.*\n/, offspring);
      const cwd = await workspaceWith(nodePackage("step", step));
      const child = start(cwd, [...RUN, "--json"], event("completed"));
      const ended = once(child, "exit") as Promise<[number | null]>;
      const out = readAll(child.stdout);
      const pids = await until(async () => {
        const lines = (await readFile(join(cwd, "pids"), "utf8").catch(() => "")).trim().split("\n");
        return lines.length === 2 ? lines.map(Number) : undefined;
      });
      child.kill(signal);
      expect((await ended)[0]).toBe(EXIT.bad);
      expect(JSON.parse(await out)).toMatchObject({
        flow: "step",
        result: { status: "failed", message: "canceled" },
      });
      expect(pids.map(processStart)).toEqual([undefined, undefined]);
    },
  );
});

describe("steps that Codex works for", () => {
  const FLOW = (runner: string, script: string): string =>
    `name = "codex"\nversion = 1\n[[steps]]\nname = "run"\nrunner = "${runner}"\nscript = "${script}"\n[steps.trigger]\ntype = "codex.event"\n`;
  const SCRIPT = `text("to the log"); const asked = await tools.exec_command({ cmd: "touch made", shell: "/bin/sh", login: false }).catch(() => "declined");
result({ status: "completed", message: JSON.stringify(asked) });`;
  const fired = { id: "c:1", type: "codex.event" };

  /** Not below the temporary directory, where Codex's home may not be. */
  async function codexWorkspace(runner: string, script: string, text: string): Promise<string> {
    const cwd = folder("cli-local");
    await writeFiles(cwd, { "flows/codex/flow.toml": FLOW(runner, script), [`flows/codex/${script}`]: text });
    return cwd;
  }

  test("a saved script runs here, too, where the environment turns code mode on; nobody can be asked", async () => {
    const cwd = await codexWorkspace(
      "code-mode",
      "run.js",
      `/*---\napproval_policy: untrusted\n---*/\n${SCRIPT}`,
    );
    const off = await codexFlow(cwd, [...FIRE, "--json"], fired);
    expect(off.code).toBe(EXIT.bad);
    expect(off.out).toContain("requires CODEX_FLOWS_ENABLE_CODE_MODE=1");
    const on = await codexFlow(cwd, FIRE, fired, { CODEX_FLOWS_MODE: "code-mode" });
    expect(on.out).toMatch(/codex\/run {2}completed/);
    expect(on.err).toContain("to the log\n");
    expect(on.err).toContain("touch made");
    expect(existsSync(join(cwd, "flows/codex/made"))).toBe(false);
    expect(processesWith("environ", `CODEX_HOME=${cwd}`)).toEqual([]);
  });

  test("a codex step asks the model of this user", async () => {
    const cwd = await codexWorkspace("codex", "prompt.md", "Do it.");
    const model = await fakeModel([{ answers: [structured({ status: "changed", message: "done" })] }]);
    const config = stringify(fakeModelConfig(model.url, writeModelCatalog(cwd)));
    await writeFiles(cwd, { ".codex/config.toml": config });
    const { code, out } = await codexFlow(cwd, [...FIRE, "--json"], fired);
    expect([code, JSON.parse(out)]).toMatchObject([
      EXIT.ok,
      { results: [{ result: { status: "changed", message: "done" } }] },
    ]);
  });

  test("a prompt on the command line asks it in a project of this box, and nowhere else", async () => {
    const cwd = folder("cli-local");
    await cp(projectPath("flows/codex-ask"), join(cwd, "flows/codex-ask"), { recursive: true });
    const model = await fakeModel([
      {
        answers: [
          patch("*** Add File: made.txt", "+one"),
          structured({ status: "changed", message: "made it" }),
        ],
      },
    ]);
    const config = stringify(fakeModelConfig(model.url, writeModelCatalog(cwd)));
    await writeFiles(cwd, {
      "app/README.md": "",
      ".codex/config.toml": config,
      ".codex/runner.toml": '[projects]\napp = "~/app"\n',
    });
    const ask = async (payload: object) =>
      codexFlow(cwd, ["run", "codex-ask", "ask", "--payload", JSON.stringify(payload), "--json"], "");
    const done = await ask({ prompt: "Make it.", project: "app" });
    expect([done.code, JSON.parse(done.out)]).toMatchObject([
      EXIT.ok,
      { result: { status: "changed", message: "made it" } },
    ]);
    expect(existsSync(join(cwd, "app/made.txt"))).toBe(true);
    const unknown = await ask({ prompt: "Make it.", project: "ap" });
    expect([unknown.code, JSON.parse(unknown.out)]).toMatchObject([
      EXIT.bad,
      { errorCode: "project_unknown" },
    ]);
    expect(model.requests).toHaveLength(2);
  });
});
