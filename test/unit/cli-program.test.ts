/**
 * The program `codex-flow` as its users run it: a process with flags, environment and streams, against an edge on
 * loopback.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { text as readAll } from "node:stream/consumers";
import { describe, expect, onTestFinished, test } from "vitest";
import { TAIL_RESUME_CLOSE } from "../../contract/runner-link.ts";
import { EXIT } from "../../runner-agent/cli/exit-codes.ts";
import { access, codexFlow, PROGRAM } from "../support/command-line.ts";
import { fakeSystemd } from "../support/fake-systemd.ts";
import { startFakeEdge, TOKEN } from "../support/fake-edge.ts";
import { packageFiles, temporaryFolder, workspaceWith } from "../support/flow-workspace.ts";
import { chunks, endedRun, queuedRun, runningRun } from "../support/run-fixtures.ts";

const RUN = "run_0123456789abcdef_1";

describe("help", () => {
  test("names every command, every exit code and examples", async () => {
    const { code, out, err } = await codexFlow(["--help"]);
    expect([code, err]).toEqual([EXIT.ok, ""]);
    for (const command of [
      "status",
      "dispatch",
      "runs",
      "approvals",
      "events",
      "runners",
      "flows",
      "fire",
      "run",
      "login",
      "runner",
      "dev",
    ])
      expect(out).toMatch(new RegExp(`^  ${command} `, "m"));
    expect(out).toMatch(/Exit codes:\n {3}0 {2}done/);
    expect(out).toMatch(/Examples:/);
  });

  test.each([
    ["dispatch"],
    ["runs", "logs"],
    ["runs", "say"],
    ["runs", "budget"],
    ["approvals", "list"],
    ["approvals", "accept"],
    ["events", "replay"],
    ["flows", "new"],
    ["fire"],
    ["run"],
    ["runner", "start"],
    ["dev"],
  ])("of %s %s has examples and the global flags", async (...words) => {
    const { code, out } = await codexFlow([...words, "--help"]);
    expect(code).toBe(EXIT.ok);
    expect(out).toMatch(/--url[\s\S]*Examples:\n {2}# .+\n {2}\$ codex-flow /);
  });
});

test("runner start --help says what holds where a flag is not given", async () => {
  const { out } = await codexFlow(["runner", "start", "--help"]);
  const words = out.replaceAll(/\s+/g, " ");
  for (const flag of ["--name", "--pool", "--label", "--capacity", "--workspace", "--journal", "--config"])
    expect(words).toMatch(new RegExp(`${flag} <\\w+> [^<]*\\(default: `));
});

describe("usage", () => {
  test.each([
    [[], /^Usage: codex-flow /],
    [["runs"], /^error: no edge url is given/],
    [["runner"], /^Usage: codex-flow runner /],
    // The value of an option of a group's default command is no command.
    [["runs", "--flow", "lst"], /^error: no edge url is given/],
    [["runner", "worktrees", "--workspace", "/nowhere"], /^error: (?!unknown command)/],
    [["bogus"], /^error: unknown command 'bogus'.*\nfix: see `codex-flow --help`/],
    [["nonsense", "--help"], /^error: unknown command 'nonsense'.*\nfix: /],
    [["--json", "nonsense", "-h"], /"unknown command 'nonsense'/],
    [["--url", "http://127.0.0.1:1", "nonsense", "--help"], /^error: unknown command 'nonsense'/],
    [
      ["runs", "nonsense", "--help"],
      /^error: unknown command 'nonsense'.*\nfix: see `codex-flow runs --help`/,
    ],
    [["runs", "lst"], /^error: unknown command 'lst'; .*list.*\nfix: see `codex-flow runs --help`/],
    [
      ["run", "list"],
      /^error: missing required argument 'step'\nfix: .*`codex-flow run --help`.*`codex-flow runs --help`/,
    ],
    [["runs", "list", "--limit", "0"], /^error: .*whole number from 1 to 500.*\nfix: /],
    [["runs", "list", "extra"], /^error: too many arguments/],
    [["status"], /^error: no edge url is given\nfix: .*--url.*CODEX_FLOW_URL.*login/],
    [["runs", "list", "--url", "nonsense", "--token", "t"], /^error: "nonsense" is no url/],
    [
      ["runs", "list", "--url", "http://127.0.0.1:1"],
      /^error: no token is given.*\nfix: .*--token.*CODEX_FLOW_TOKEN.*login/,
    ],
    [
      ["runs", "list", "--profile", "none"],
      /^error: .*has no profile "none".*\nfix: codex-flow login --profile none/,
    ],
    [["dispatch"], /^error: no event is given\nfix: .*--type/],
    [["dispatch", "/nowhere/event.json"], /^error: cannot read \/nowhere\/event.json/],
    [["dispatch", "--type", "t", "--wait=soon"], /^error: cannot read soon: /],
    [["flows", "check", "--workspace", "/nowhere"], /^error: there is no folder \/nowhere/],
    [["flows", "new", "Bad Name"], /^error: "Bad Name" cannot be the name of a flow/],
  ])("%j ends with 2 and says what to do", async (words, message) => {
    const { code, out, err } = await codexFlow(words);
    expect([code, out]).toEqual([EXIT.usage, ""]);
    expect(err).toMatch(message);
  });

  test("with --json the error is one JSON document on standard error", async () => {
    const { code, out, err } = await codexFlow(["runs", "lst", "--json"]);
    expect([code, out]).toEqual([EXIT.usage, ""]);
    expect(JSON.parse(err)).toMatchObject({ error: { code: "usage", message: /lst/, fix: /--help/ } });
  });
});

describe("an edge that does not do as asked", () => {
  test("not there: 3, with the url and the fix", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    server.close();
    await once(server, "close");
    for (const words of [["status"], ["runs", "logs", "-f", RUN]]) {
      const { code, err } = await codexFlow(words, access({ url }));
      expect(code).toBe(EXIT.unreachable);
      expect(err).toContain(`error: cannot reach the edge at ${url}: `);
      expect(err).toMatch(/^fix: .*codex-flow dev/m);
    }
  });

  test("a wrong token: 4", async () => {
    const edge = await startFakeEdge();
    const { code, err } = await codexFlow(["runs", "list", "--token", "wrong"], access(edge));
    expect(code).toBe(EXIT.denied);
    expect(err).toMatch(/^error: this token is not known here\nfix: .*codex-flow login/);
  });

  test("no such run: 5, also for a tail, and as JSON with the request's id", async () => {
    const edge = await startFakeEdge();
    const unknown = "run_fedcba9876543210_1";
    for (const words of [["show"], ["cancel"], ["logs", "-f"]]) {
      const { code, out, err } = await codexFlow(["runs", ...words, unknown, "--json"], access(edge));
      expect([code, out]).toEqual([EXIT.notFound, ""]);
      expect(JSON.parse(err)).toMatchObject({ error: { code: "run_not_found", requestId: "request-1" } });
    }
  });

  test("another server than an edge: 9", async () => {
    const server = createServer((_request, response) => response.end("<html>hello</html>")).listen(
      0,
      "127.0.0.1",
    );
    await once(server, "listening");
    onTestFinished(() => void server.close());
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const { code, err } = await codexFlow(["status"], access({ url }));
    expect(code).toBe(EXIT.edgeFailed);
    expect(err).toMatch(/is this the url of a codex-flow edge\?/);
  });
});

describe("looking at what is there", () => {
  test.each([
    [["runs", "list"], ["runs"]],
    [["runs", "show", RUN], ["run"]],
    [
      ["runs", "logs", RUN],
      ["output", "cursor", "complete"],
    ],
    [["runs", "cancel", RUN], ["run"]],
    [["events", "list"], ["events"]],
    [
      ["events", "show", "upstream:1"],
      ["event", "runs"],
    ],
    [
      ["events", "replay", "upstream:1"],
      ["status", "eventId", "runIds", "matched", "runs", "idempotent"],
    ],
    [["runners"], ["runners", "waiting"]],
    [
      ["runners", "list", "--pool", "gpu"],
      ["runners", "waiting"],
    ],
    [["flows", "list", "--deployed"], ["flows"]],
    [["status"], ["url", "latencyMs", "runners", "waiting", "attention", "chats", "events"]],
  ])("%j answers in words, and as one JSON document", async (words, keys) => {
    const edge = await startFakeEdge();
    const [plain, json] = await Promise.all([
      codexFlow(words, access(edge)),
      codexFlow([...words, "--json"], access(edge)),
    ]);
    expect([plain.code, json.code, json.err]).toEqual([EXIT.ok, EXIT.ok, ""]);
    expect(plain.out + plain.err).not.toMatch(/undefined|\[object|NaN/);
    expect(Object.keys(JSON.parse(json.out) as object)).toEqual(keys);
  });

  test("a list says why a run waits, and asks for that only when one does", async () => {
    const reason = { code: "no_labels", message: "no connected runner has the labels gpu" };
    const waiting = [
      { runId: RUN, pool: "p", flow: "f", step: "s", attempt: 1, queuedAt: new Date().toISOString(), reason },
    ];
    const edge = await startFakeEdge({ runs: [[queuedRun()]], waiting });
    expect((await codexFlow(["runs", "list"], access(edge))).out).toContain(`waits: ${reason.message}`);
    expect(edge.calls.map(({ path }) => path)).toEqual(["/runs", "/runners"]);
    const over = await startFakeEdge();
    await codexFlow(["runs", "list"], access(over));
    expect(over.calls.map(({ path }) => path)).toEqual(["/runs"]);
  });

  test("a page says how to see the next one", async () => {
    const edge = await startFakeEdge({ nextCursor: "abc" });
    const { out } = await codexFlow(["events", "list", "--type", "a b"], access(edge));
    expect(out).toContain("more: codex-flow events list --type 'a b' --cursor abc");
    expect(edge.calls[0]?.query).toEqual({ type: "a b" });
  });

  test("replay narrows to a flow and waits for the new runs", async () => {
    const edge = await startFakeEdge({ runs: [[runningRun()], [endedRun("blocked", "look")]] });
    const words = ["events", "replay", "upstream:1", "--flow", "release", "--wait"];
    const { code, out } = await codexFlow(words, access(edge));
    expect(code).toBe(EXIT.bad);
    expect(out).toContain("! blocked");
    expect(edge.calls[0]).toMatchObject({ path: "/events/upstream%3A1/replay", body: '{"flow":"release"}' });
  });
});

describe("groups without a subcommand", () => {
  test.each(["runs", "events", "flows"])(
    "codex-flow %s lists, as its list subcommand does",
    async (group) => {
      const edge = await startFakeEdge();
      const cwd = await temporaryFolder();
      const [alone, list] = [
        await codexFlow([group, "--json"], { ...access(edge), cwd }),
        await codexFlow([group, "list", "--json"], { ...access(edge), cwd }),
      ];
      expect(alone).toEqual(list);
      expect(alone.code).toBe(EXIT.ok);
    },
  );

  test.each(["runs", "events", "flows"])("codex-flow %s refuses an unknown subcommand", async (group) => {
    const edge = await startFakeEdge();
    const { code, out, err } = await codexFlow([group, "lisst"], access(edge));
    expect([code, out]).toEqual([EXIT.usage, ""]);
    expect(err).toContain(`codex-flow ${group} --help`);
    expect(edge.calls).toEqual([]);
  });
});

describe("logs", () => {
  const OUTPUT = chunks(["stdout", "one\n"], ["stderr", "warn\n"], ["system", "note"], ["stdout", "two\n"]);

  test("turn all pages; each stream stays itself", async () => {
    const edge = await startFakeEdge({ output: OUTPUT });
    const { code, out, err } = await codexFlow(["runs", "logs", RUN], access(edge));
    expect([code, out, err]).toEqual([EXIT.ok, "one\ntwo\n", "warn\n── note\n"]);
    const json = await codexFlow(["runs", "logs", RUN, "--json"], access(edge));
    expect(JSON.parse(json.out)).toEqual({ output: OUTPUT, cursor: "1.4", complete: true });
  });

  test("-f goes on behind the last cursor when the socket drops, and ends with the run (invariant 16)", async () => {
    const edge = await startFakeEdge({
      output: OUTPUT,
      dropTailAfter: 2,
      runs: [[endedRun("completed", "fine")]],
    });
    const { code, out, err } = await codexFlow(["runs", "logs", "-f", RUN], access(edge));
    expect([code, out]).toEqual([EXIT.ok, "one\ntwo\n"]);
    expect(err).toMatch(
      /^warn\n── connection lost: .*; trying again in \d+ ms\n── note\nresult {2}run_\S+ {2}completed/,
    );
    const tails = edge.calls.filter((call) => call.path.endsWith("/tail"));
    expect(tails.map((call) => call.query)).toEqual([{}, { after: "1.2" }]);
    expect(tails[0]?.headers).toMatchObject({ authorization: `Bearer ${TOKEN}` });
  });

  test("-f resumes a tail that the edge has closed for its size, without a word and without a pause", async () => {
    const edge = await startFakeEdge({
      output: OUTPUT,
      dropTailAfter: 2,
      dropTailCode: TAIL_RESUME_CLOSE,
      runs: [[endedRun("completed", "fine")]],
    });
    const { code, out, err } = await codexFlow(["runs", "logs", "-f", RUN], access(edge));
    expect([code, out]).toEqual([EXIT.ok, "one\ntwo\n"]);
    expect(err).toMatch(/^warn\n── note\nresult {2}run_\S+ {2}completed/);
    const tails = edge.calls.filter((call) => call.path.endsWith("/tail"));
    expect(tails.map((call) => call.query)).toEqual([{}, { after: "1.2" }]);
  });

  test("-f says why a run waits, and ends with 1 when it ends badly", async () => {
    const waiting = { ...queuedRun(), waiting: { code: "no_runner", message: "no runner in pool default" } };
    const edge = await startFakeEdge({ runs: [[waiting], [endedRun("needs_intervention", "look")]] });
    const { code, err } = await codexFlow(["runs", "logs", "-f", RUN], access(edge));
    expect(code).toBe(EXIT.bad);
    expect(err).toContain("── waits: no runner in pool default\n");
    expect(err).toContain("! needs_intervention");
  });

  test("-f --json is one frame a line and nothing else", async () => {
    const edge = await startFakeEdge({ output: OUTPUT });
    const { code, out, err } = await codexFlow(["runs", "logs", "-f", RUN, "--json"], access(edge));
    expect([code, err]).toEqual([EXIT.ok, ""]);
    const frames = out
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { type: string });
    expect(frames.map((frame) => frame.type)).toEqual(["run", "output", "output", "output", "output", "run"]);
  });

  test.each([
    ["runs logs -f", ["runs", "logs", "-f", RUN], "stdout", "one"],
    ["dispatch --wait", ["dispatch", "--type", "upstream.release", "--wait"], "stderr", "running"],
  ] as const)(
    "Ctrl-C in %s says that the run goes on and how to stop it",
    async (_name, words, stream, sign) => {
      const edge = await startFakeEdge({ output: OUTPUT, runs: [[runningRun()]], tailsStayOpen: true });
      const child = spawn(process.execPath, [PROGRAM, ...words], {
        env: {
          PATH: process.env["PATH"],
          HOME: "/nowhere",
          CODEX_FLOW_URL: edge.url,
          CODEX_FLOW_TOKEN: TOKEN,
        },
      });
      let seen = "";
      child[stream].on("data", (part: Buffer) => {
        seen += part.toString();
        if (seen.includes(sign)) child.kill("SIGINT");
      });
      const [err, ended] = await Promise.all([readAll(child.stderr), once(child, "exit")]);
      expect(ended).toEqual([null, "SIGINT"]);
      expect(err).toContain(
        `the run goes on; this command only watched. To stop it:\n  codex-flow runs cancel ${RUN}\n`,
      );
    },
  );

  test("a reader that has seen enough is no failure", async () => {
    const edge = await startFakeEdge({
      output: chunks(...Array.from({ length: 50 }, () => ["stdout", "x".repeat(65_536)] as const)),
    });
    const child = spawn(process.execPath, [PROGRAM, "runs", "logs", RUN], {
      env: { PATH: process.env["PATH"], HOME: "/nowhere", CODEX_FLOW_URL: edge.url, CODEX_FLOW_TOKEN: TOKEN },
    });
    child.stdout.once("data", () => child.stdout.destroy());
    const [err, [code]] = await Promise.all([
      readAll(child.stderr),
      once(child, "exit") as Promise<[number | null]>,
    ]);
    expect([code, err]).toEqual([EXIT.ok, ""]);
  });

  test("-f goes on to its end when nobody reads standard error any more", async () => {
    const edge = await startFakeEdge({ output: OUTPUT });
    const { code, out } = await codexFlow(["runs", "logs", "-f", RUN], { ...access(edge), unheard: true });
    expect([code, out]).toEqual([EXIT.ok, "one\ntwo\n"]);
  });
});

describe("login", () => {
  test("saves a profile that the next command uses", async () => {
    const edge = await startFakeEdge();
    const home = await temporaryFolder();
    const environment = { XDG_CONFIG_HOME: home };
    const saved = await codexFlow(["login", "--url", `${edge.url}/`, "--token", TOKEN], { environment });
    expect(saved.code).toBe(EXIT.ok);
    const path = join(home, "codex-flow", "profiles.toml");
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(saved.out + saved.err).not.toContain(TOKEN);
    const { code, out } = await codexFlow(["status"], { environment });
    expect(code).toBe(EXIT.ok);
    expect(out).toContain(`${edge.url} (profile default)`);
    expect(out).not.toContain(TOKEN);
  });

  test("a wrong token is not saved: login asks the edge first", async () => {
    const edge = await startFakeEdge();
    const environment = { XDG_CONFIG_HOME: await temporaryFolder() };
    const { code, err } = await codexFlow(["login", "--url", edge.url, "--token", "wrong"], { environment });
    expect([code, err]).toEqual([EXIT.denied, expect.stringContaining("error: ")]);
    expect((await codexFlow(["profiles"], { environment })).out).toContain("no profile is saved");
  });

  test("an edge that is not there is saved with a warning, and the next step names the profile", async () => {
    const environment = { XDG_CONFIG_HOME: await temporaryFolder() };
    const words = ["login", "--profile", "staging", "--url", "http://127.0.0.1:1", "--token", TOKEN];
    const { code, err } = await codexFlow(words, { environment });
    expect(code).toBe(EXIT.ok);
    expect(err).toContain("could not be checked");
    expect(err).toContain("next: codex-flow status --profile staging");
  });

  test("profiles lists names without secrets, and logout removes one", async () => {
    const environment = { XDG_CONFIG_HOME: await temporaryFolder() };
    await codexFlow(["login", "--url", "http://127.0.0.1:1", "--token", TOKEN], { environment });
    const { out } = await codexFlow(["profiles"], { environment });
    expect(out).toContain("default  http://127.0.0.1:1  token");
    expect(out).not.toContain(TOKEN);
    expect((await codexFlow(["logout"], { environment })).code).toBe(EXIT.ok);
    const again = await codexFlow(["logout"], { environment });
    expect([again.code, again.err]).toEqual([EXIT.usage, expect.stringContaining('no profile "default"')]);
  });

  test("a profile that others can read is refused with the fix", async () => {
    const home = await temporaryFolder();
    const path = join(home, "codex-flow", "profiles.toml");
    await mkdir(join(home, "codex-flow"));
    await writeFile(path, '[default]\nurl = "https://a.dev"\ntoken = "t"\n', { mode: 0o644 });
    const { code, err } = await codexFlow(["status"], { environment: { XDG_CONFIG_HOME: home } });
    expect(code).toBe(EXIT.usage);
    expect(err).toContain(`fix: chmod 600 ${path}`);
  });
});

describe("flows", () => {
  test("check prints each fault where it stands: 1", async () => {
    const workspace = await workspaceWith({
      ...packageFiles("flows/good", "good"),
      "flows/bad/flow.toml":
        'name = "bad"\nversion = 1\ncolour = "red"\n\n[[steps]]\nname = "run"\nrunner = "bash"\n',
    });
    const { code, out } = await codexFlow(["flows", "check"], { cwd: workspace });
    expect(code).toBe(EXIT.bad);
    const lines = out.trim().split("\n");
    for (const line of lines) expect(line).toMatch(/^flows\/bad\/flow\.toml:\d+:\d+ \S+ .+/);
    expect(lines.some((line) => line.startsWith("flows/bad/flow.toml:3:1 colour "))).toBe(true);
    const json = await codexFlow(["flows", "check", "--workspace", workspace, "--json"]);
    expect(JSON.parse(json.out)).toMatchObject({ checked: ["good"], faults: [{ line: 3 }, {}, {}] });
  });

  test("new makes a package that passes the check, and says how to go on", async () => {
    const workspace = await temporaryFolder();
    const made = await codexFlow(["flows", "new", "greet"], { cwd: workspace });
    expect(made.code).toBe(EXIT.ok);
    expect(made.out).toMatch(
      /made {2}flows\/greet\/flow\.toml[\s\S]*codex-flow dispatch --type greet\.\S+ --payload '/,
    );
    expect(await readFile(join(workspace, "flows/greet/flow.toml"), "utf8")).toContain('name = "greet"');
    const [check, list, again] = await Promise.all([
      codexFlow(["flows", "check"], { cwd: workspace }),
      codexFlow(["flows", "list"], { cwd: workspace }),
      codexFlow(["flows", "new", "greet"], { cwd: workspace }),
    ]);
    expect([check.code, check.out]).toEqual([EXIT.ok, "1 flow, 1 step: no faults\n"]);
    expect(list.out).toMatch(/^greet +1 .*flows\/greet$/m);
    expect([again.code, again.out]).toEqual([EXIT.usage, ""]);
  });
});

describe("runner start", () => {
  test("with an executor that the box does not have stops before it connects, and says what to do: 2", async () => {
    const edge = await startFakeEdge();
    const systemd = await fakeSystemd();
    systemd.down();
    const workspace = await workspaceWith({ ".codex/runner.toml": 'executor = "systemd-run"' });
    const { code, err } = await codexFlow(
      ["runner", "start", "--workspace", workspace],
      access(edge, systemd.environment),
    );
    expect(code).toBe(EXIT.usage);
    expect(err).toContain("Failed to connect to bus");
    expect(err).toContain('executor = "direct"');
    expect(edge.calls).toEqual([]);
  });
});
