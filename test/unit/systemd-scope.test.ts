/** Steps in scopes of the user's systemd: how they are asked for, what they find that nothing else does, and refusals. */
import { afterAll, describe, expect, onTestFinished, test, vi } from "vitest";
import { attemptId } from "../../contract/ids.ts";
import { endTree, reapAttempt } from "../../runner-agent/steps/process-tree.ts";
import {
  isInScope,
  probeScope,
  scopedCommand,
  scopeKillFile,
  scopeUnit,
  type Executor,
} from "../../runner-agent/steps/systemd-scope.ts";
import { CGROUPS_WRITABLE, collectScope, fakeSystemd, type FakeSystemd } from "../support/fake-systemd.ts";
import { temporaryFolder } from "../support/flow-workspace.ts";
import { launchRequest, removePackages, requestFor, SHORT, type ToldStep } from "./step-harness.ts";

afterAll(removePackages);

const GONE = { empty: true, survivors: [] };
const SCOPED: Executor = { kind: "systemd-run", limits: { memoryMax: "2G", tasksMax: 64 } };
const ATTEMPT = "run_0123456789abcdef_1_a2";
const UNIT = "codex-flow-run_0123456789abcdef_1-a2";

/** A process that has cleared its environment and left the session: only the cgroup still tells whose it is. */
const HIDDEN = `
  import { readFileSync } from "node:fs";
  import { spawn } from "node:child_process";
  const child = spawn("env", ["-i", "sleep", "1000"], { detached: true, stdio: "ignore" });
  child.unref();
  while (readFileSync("/proc/" + child.pid + "/comm", "utf8") !== "sleep\\n") await new Promise((next) => setTimeout(next, 5));
  console.log("hidden " + child.pid);
`;

async function onBox(): Promise<FakeSystemd> {
  const systemd = await fakeSystemd();
  for (const [name, value] of Object.entries(systemd.environment)) vi.stubEnv(name, value);
  onTestFinished(() => {
    vi.unstubAllEnvs();
  });
  return systemd;
}

async function launchScoped(source: string): Promise<ToldStep & { unit: string; id: string }> {
  const request = { ...(await requestFor(source)), executor: SCOPED };
  const id = attemptId(request.runId, request.attempt);
  const unit = scopeUnit(id);
  onTestFinished(() => {
    collectScope(unit);
  });
  return { ...launchRequest(request), unit, id };
}

describe("the command", () => {
  const command = { file: "node", args: ["--import", "x", "a.ts"] };
  const base = ["--user", "--scope", "--collect", "--quiet", `--unit=${UNIT}`];

  test("without limits, where the step may see the bus itself, is the scope's and no more", () => {
    const variables = { XDG_RUNTIME_DIR: "/run/user/1" };
    expect(
      scopedCommand(command, { attemptId: ATTEMPT, limits: {}, variables, box: { XDG_RUNTIME_DIR: "/x" } }),
    ).toEqual({ file: "systemd-run", args: [...base, "--", "node", ...command.args], variables });
  });

  test("lends systemd-run the way to the bus, and takes it from the step", () => {
    const limits = { memoryMax: "50%", cpuQuota: "150%", tasksMax: 9 };
    const box = { XDG_RUNTIME_DIR: "/run/user/1", SECRET: "s" };
    expect(scopedCommand(command, { attemptId: ATTEMPT, limits, variables: { A: "1" }, box })).toEqual({
      file: "systemd-run",
      args: [
        ...base,
        ...["-p", "MemoryMax=50%", "-p", "CPUQuota=150%", "-p", "TasksMax=9"],
        ...["--", "env", "-u", "XDG_RUNTIME_DIR", "node", ...command.args],
      ],
      variables: { A: "1", XDG_RUNTIME_DIR: "/run/user/1" },
    });
  });
});

describe("a process belongs to a scope", () => {
  const slice = "/user.slice/user-1000.slice/user@1000.service/app.slice";
  test.each([
    [`0::${slice}/${UNIT}.scope\n`, true, `/sys/fs/cgroup${slice}/${UNIT}.scope/cgroup.kill`],
    [`0::${slice}/${UNIT}.scope/inner\n`, true, `/sys/fs/cgroup${slice}/${UNIT}.scope/cgroup.kill`],
    [`9:pids:/${UNIT}.scope\n0::/\n`, true, undefined],
    [`0::${slice}/${UNIT}1.scope\n`, false, undefined],
    [`0::${slice}/${UNIT}\n`, false, undefined],
    ["", false, undefined],
  ])("%j: %s", (cgroups, inScope, killFile) => {
    expect(isInScope(cgroups, UNIT)).toBe(inScope);
    expect(scopeKillFile(cgroups, UNIT)).toBe(killFile);
  });
});

describe("a step in a scope", () => {
  test("reads its input, has its environment and exit code, and does not see the bus", async () => {
    const systemd = await onBox();
    const { step, text, unit } = await launchScoped(`
      const { runtime } = JSON.parse(await new Response(process.stdin).text());
      console.log(JSON.stringify([runtime.attemptId === process.env.CODEX_FLOW_ATTEMPT_ID, process.env.XDG_RUNTIME_DIR ?? "none"]));
      process.exit(7);
    `);
    expect(await step.ended).toEqual({ reason: "exited", exit: { code: 7, signal: null }, tree: GONE });
    expect(text("stdout")).toBe('[true,"none"]\n');
    expect(systemd.calls()).toHaveLength(1);
    expect(systemd.calls()[0]).toContain(`--unit=${unit} -p MemoryMax=2G -p TasksMax=64 -- env -u`);
  });

  test("is canceled like any other", async () => {
    await onBox();
    const { step, says } = await launchScoped(`console.log("up"); setInterval(() => {}, 1000);`);
    await says("stdout", "up");
    step.cancel("canceled");
    expect(await step.ended).toMatchObject({ reason: "canceled", tree: GONE });
  });

  test.skipIf(!CGROUPS_WRITABLE)(
    "leaves nothing behind that hides from the session and the environment (invariant 10)",
    async () => {
      await onBox();
      const { step, signalled, text } = await launchScoped(HIDDEN);
      expect(await step.ended).toMatchObject({ reason: "exited", tree: GONE });
      const hidden = Number(/hidden (\d+)/.exec(text("stdout"))?.[1]);
      expect(signalled[0]).toEqual([hidden]);
    },
  );

  test.skipIf(!CGROUPS_WRITABLE)("is found by an agent that has only the attempt's id", async () => {
    await onBox();
    const { step, says, id, unit } = await launchScoped(`${HIDDEN} setInterval(() => {}, 1000);`);
    await says("stdout", "hidden");
    const found: number[][] = [];
    const proof = await endTree({ marks: ["NOBODY=1"], scope: unit }, SHORT, (pids) => void found.push(pids));
    expect([proof, found[0]?.length]).toEqual([GONE, 2]);
    expect(await reapAttempt(id, SHORT)).toEqual(GONE);
    await step.ended;
  });
});

describe("a box without it", () => {
  test("refuses the step with a code and what to do, and starts nothing", async () => {
    const systemd = await onBox();
    vi.stubEnv("XDG_RUNTIME_DIR", await temporaryFolder());
    const { step } = await launchScoped(`console.log("never");`);
    const { reason, error } = await step.ended;
    expect([reason, error?.code]).toEqual(["refused", "executor_unavailable"]);
    expect(error?.message).toContain('executor = "direct"');
    expect(systemd.calls()).toEqual([]);
  });

  test("is told by the probe: why, and what to do", async () => {
    const { environment, down } = await fakeSystemd();
    expect(await probeScope(environment)).toBeUndefined();
    const faults = [
      await probeScope({ ...environment, PATH: "/nowhere" }),
      await probeScope({ PATH: environment.PATH }),
      await probeScope({ ...environment, XDG_RUNTIME_DIR: "/nowhere" }),
    ];
    down();
    faults.push(await probeScope(environment));
    expect(new Set(faults.map((fault) => fault?.code))).toEqual(new Set(["executor_unavailable"]));
    expect(faults.map((fault) => /here: (.*?);/.exec(fault?.message ?? "")?.[1])).toEqual([
      "there is no systemd-run on the PATH",
      "XDG_RUNTIME_DIR is not set",
      "no user systemd listens in /nowhere",
      "Failed to connect to bus: Connection refused",
    ]);
  });
});
