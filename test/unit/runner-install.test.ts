/** The installer: what it writes, what it asks of systemd, and what it says where there is none. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { EXIT } from "../../runner-agent/cli/exit-codes.ts";
import { planInstall } from "../../runner-agent/install/install.ts";
import { environmentText, lineChanges, unitText } from "../../runner-agent/install/unit.ts";
import { PROGRAM } from "../support/command-line.ts";
import { fakeSystemd, type FakeSystemd } from "../support/fake-systemd.ts";
import { temporaryFolder } from "../support/flow-workspace.ts";

const TOKEN = "runner-token-of-the-test";
const UNIT = "codex-flow-runner-box.service";
const VERIFIES = spawnSync("systemd-analyze", ["--version"]).status === 0;

interface Installation {
  systemd: FakeSystemd;
  config: string;
  unitPath: string;
  environmentPath: string;
  install(...words: string[]): { code: number | null; out: string; err: string };
}

async function installation(workspace?: string): Promise<Installation> {
  const systemd = await fakeSystemd();
  const config = await temporaryFolder();
  const folder = workspace ?? (await temporaryFolder());
  return {
    systemd,
    config,
    unitPath: join(config, "systemd", "user", UNIT),
    environmentPath: join(config, "codex-flow", "codex-flow-runner-box.env"),
    install: (...words) => {
      const { status, stdout, stderr } = spawnSync(
        process.execPath,
        [PROGRAM, "runner", "install", "--name", "box", "--workspace", folder, ...words],
        {
          encoding: "utf8",
          env: {
            ...systemd.environment,
            XDG_CONFIG_HOME: config,
            HOME: config,
            CODEX_FLOW_URL: "https://edge.example",
            CODEX_FLOW_TOKEN: TOKEN,
          },
        },
      );
      return { code: status, out: stdout, err: stderr };
    },
  };
}

test("the installed agent gets the proxy of the call, and no folder of npx or npm in its PATH", () => {
  const given = { workspace: "/w", flags: [], url: "https://edge.example", token: TOKEN };
  const plan = planInstall({
    ...given,
    environment: {
      HOME: "/h",
      HTTPS_PROXY: "http://proxy:3128",
      no_proxy: "example.org",
      PATH: "/h/.npm/_npx/1a2b/node_modules/.bin:/p/node_modules/.bin:/usr/lib/npm/bin/node-gyp-bin:/usr/bin:/bin",
    },
  });
  expect(plan.environmentText).toContain('HTTPS_PROXY="http://proxy:3128"\n');
  expect(plan.environmentText).toContain('no_proxy="example.org"\n');
  expect(plan.unitText).toContain('Environment="PATH=/usr/bin:/bin"');
});

test("code mode that is allowed where the agent is installed from is allowed to the installed agent", () => {
  const given = { workspace: "/w", flags: [], url: "https://edge.example", token: TOKEN };
  const on = planInstall({ ...given, environment: { HOME: "/h", CODEX_FLOWS_MODE: "code-mode" } });
  expect(on.environmentText).toContain('CODEX_FLOWS_MODE="code-mode"\n');
  expect(planInstall({ ...given, environment: { HOME: "/h" } }).environmentText).not.toContain("CODEX_FLOWS");
});

test("the first call writes unit and token, and starts; the second changes nothing", async () => {
  const { install, systemd, unitPath, environmentPath } = await installation();
  const first = install("--pool", "gpu", "--label", "cuda");
  expect([first.code, first.err]).toEqual([EXIT.ok, ""]);
  expect(first.out).toContain(`${unitPath} (created)`);
  expect(first.out).toContain(`journalctl --user -u ${UNIT} -f`);
  expect(first.out).toContain("loginctl enable-linger");
  const unit = readFileSync(unitPath, "utf8");
  expect(unit).toMatch(/^ExecStart=\/.*\/node \/.*\/bin\/codex-flow\.mjs runner start --workspace \//m);
  expect(unit).toContain(" --name box --pool gpu --label cuda\n");
  expect(unit).toContain("\nKillMode=mixed\n");
  expect(readFileSync(environmentPath, "utf8")).toBe(
    `CODEX_FLOW_URL="https://edge.example"\nCODEX_FLOW_TOKEN="${TOKEN}"\n`,
  );
  expect(systemd.calls().slice(-3)).toEqual([
    `--user is-active --quiet ${UNIT}`,
    "--user daemon-reload",
    `--user enable --now ${UNIT}`,
  ]);

  const second = install("--pool", "gpu", "--label", "cuda");
  expect(second.out).toContain(`${unitPath} (unchanged)`);
  expect(second.out).not.toContain("restart");
  expect(readFileSync(unitPath, "utf8")).toBe(unit);
});

test("the token is in a file of mode 0600 and nowhere else: not in the unit, not on a command line, not in the answer", async () => {
  const { install, systemd, unitPath, environmentPath } = await installation();
  mkdirSync(join(environmentPath, ".."), { recursive: true });
  writeFileSync(environmentPath, "left open", { mode: 0o644 });
  const { out, err } = install("--json");
  expect(statSync(environmentPath).mode & 0o777).toBe(0o600);
  for (const text of [out, err, readFileSync(unitPath, "utf8"), systemd.calls().join("\n")])
    expect(text).not.toContain(TOKEN);
});

test("a change is shown line by line, and the agent that runs is not restarted behind anybody's back", async () => {
  const { install, systemd } = await installation();
  install();
  const { out } = install("--capacity", "3");
  expect(out).toMatch(/- ExecStart=.* --name box\n +\+ ExecStart=.* --name box --capacity 3\n/);
  expect(out).toContain(`systemctl --user restart ${UNIT}`);
  expect(systemd.calls().filter((call) => call.includes("restart"))).toEqual([]);
});

test("--no-start enables only; --print changes nothing", async () => {
  const { install, systemd, config } = await installation();
  const printed = install("--print");
  expect(printed.out).toContain("[Service]");
  expect([systemd.calls(), existsSync(join(config, "systemd"))]).toEqual([[], false]);
  expect(install("--no-start").out).toContain("enabled, not started");
  expect(systemd.calls().at(-1)).toBe(`--user enable ${UNIT}`);
});

test("--uninstall stops, removes and reloads; again, it removes nothing", async () => {
  const { install, systemd, unitPath, environmentPath } = await installation();
  install();
  expect(install("--uninstall").out).toContain(unitPath);
  expect([existsSync(unitPath), existsSync(environmentPath)]).toEqual([false, false]);
  expect(systemd.calls().slice(-2)).toEqual([`--user disable --now ${UNIT}`, "--user daemon-reload"]);
  expect(install("--uninstall")).toMatchObject({ code: EXIT.ok, err: "" });
});

describe("refused, with nothing written", () => {
  test("without systemd: a code, and the command for another supervisor", async () => {
    const { install, systemd, config } = await installation();
    systemd.down();
    const { code, err } = install("--json");
    const { error } = JSON.parse(err) as { error: { code: string; fix: string } };
    expect([code, error.code]).toEqual([EXIT.usage, "systemd_unavailable"]);
    expect(error.fix).toMatch(/bin\/codex-flow\.mjs runner start --workspace \/\S+ --name box$/);
    expect(existsSync(join(config, "systemd"))).toBe(false);
  });

  test.each(["a b", "../x", "x@y"])("a name that is none of a unit: %s", async (name) => {
    const { install } = await installation();
    const { code, err } = install("--name", name);
    expect(code).toBe(EXIT.usage);
    expect(err).toContain("--name");
  });
});

const odd = {
  name: "box",
  node: "/opt/my node/bin/node",
  program: "/opt/100%/bin/codex-flow.mjs",
  workspace: "/home/a b/$HOME/100%",
  flags: ["--workspace", "/home/a b/$HOME/100%", "--label", 'x"y'],
  environmentFile: "/home/a b/100%/x.env",
  path: "/bin:/a b",
};

test("paths with spaces, %, $ and quotes stay what they are", () => {
  const unit = unitText(odd);
  expect(unit).toContain(
    'ExecStart="/opt/my node/bin/node" /opt/100%%/bin/codex-flow.mjs runner start --workspace "/home/a b/$$HOME/100%%" --label "x\\"y"\n',
  );
  expect(unit).toContain("WorkingDirectory=/home/a b/$HOME/100%%\n");
  expect(environmentText({ A: 'q"$`\\' })).toBe('A="q\\"\\$\\`\\\\"\n');
  expect(lineChanges("a\nb", "b\nc")).toEqual(["- a", "+ c"]);
});

test.skipIf(!VERIFIES)("systemd finds nothing wrong with the unit", async () => {
  const folder = await temporaryFolder();
  const path = join(folder, UNIT);
  const workspace = join(folder, "a b 100%");
  mkdirSync(workspace);
  const program = process.execPath;
  writeFileSync(path, unitText({ ...odd, node: program, program, workspace, flags: ["--label", "$x"] }));
  const verify = (): string =>
    spawnSync("systemd-analyze", ["verify", "--user", "--man=no", path], {
      encoding: "utf8",
      env: { ...process.env, XDG_RUNTIME_DIR: folder },
    }).stderr;
  expect(verify()).toBe("");
  writeFileSync(path, readFileSync(path, "utf8").replace("KillMode=mixed", "KillMode=mixd"));
  expect(verify()).toContain("mixd");
});
