/** The client of Codex's app-server against the real one, and against a fake one where the real one behaves too well. */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, onTestFinished, test } from "vitest";
import { type AppServer, connectAppServer, startAppServer } from "../../runner-agent/codex/app-server.ts";
import { findCodex } from "../../runner-agent/codex/codex-program.ts";
import { overloadPauseMs } from "../../runner-agent/codex/connection.ts";
import {
  AppServerExitedError,
  AppServerGarbledError,
  AppServerOverloadedError,
  AppServerUnavailableError,
  CodexError,
  RequestFailedError,
  RequestTimeoutError,
} from "../../runner-agent/codex/errors.ts";
import { APP_SERVER_VARIABLE } from "../../runner-agent/codex/transport-stdio.ts";
import { DEFAULT_CLOCKS } from "../../runner-agent/steps/clocks.ts";
import { appServer, codexEnvironment, codexHome, fakeModel, folder, liveThread } from "../support/codex.ts";
import { command, held, message } from "../support/fake-model/answers.ts";
import { processesWith } from "../support/run-processes.ts";
import { until } from "../support/until.ts";

const FAKE = fileURLToPath(new URL("../support/fake-app-server.mjs", import.meta.url));
const SHORT = { ...DEFAULT_CLOCKS, killGraceMs: 200 };

async function realServer(): Promise<AppServer> {
  const home = codexHome(await fakeModel([]));
  return await appServer({ cwd: home, env: codexEnvironment(home) });
}

async function fakeServer(misbehaviour: string): Promise<AppServer> {
  const home = folder("fake-app-server");
  const env = { ...codexEnvironment(home), MISBEHAVIOUR: misbehaviour };
  return await appServer({ cwd: home, env, command: FAKE, clocks: SHORT, stopGraceMs: 200 });
}

/** What a promise that must not resolve rejects with. */
async function failure(promise: Promise<unknown>): Promise<unknown> {
  return await promise.then(
    (value) => {
      throw new Error(`resolved with ${JSON.stringify(value)}`);
    },
    (error: unknown) => error,
  );
}

/** The process of an app-server, by the variable that marks it and all that it starts. */
function processesOf(home: string): number[] {
  return processesWith("environ", `CODEX_HOME=${home}\0`)
    .filter((pid) => readFileSync(`/proc/${pid}/environ`, "latin1").includes(`${APP_SERVER_VARIABLE}=`))
    .map(Number);
}

describe("an app-server that is not there", () => {
  test("a missing program is said to be missing, and a retry does not help", async () => {
    const home = folder("codex-none");
    const start = startAppServer({ cwd: home, env: {}, command: join(home, "no-codex"), version: "0" });
    const error = await failure(start);
    expect(error).toBeInstanceOf(AppServerUnavailableError);
    expect(error).toMatchObject({ code: "app_server_unavailable", retryable: false });
    expect(String(error)).toContain("no-codex");
  });

  test.each(["ws://127.0.0.1:1", "unix:///var/tmp/no-such-codex.sock", "http//nonsense"])(
    "nobody at %s",
    async (url) => {
      const error = await failure(connectAppServer(url, { version: "0" }));
      expect(error).toBeInstanceOf(AppServerUnavailableError);
      expect(String(error)).toContain(url);
    },
  );
});

describe("an app-server that dies", () => {
  test("kill -9 in the middle of requests: each promise rejects, and nothing is left", async () => {
    // Without a sandbox, a killed app-server takes the shell along, and leaves what the shell has started.
    const { server, model, turn, cwd } = await liveThread(
      [{ answers: [command("sleep 300 & wait"), message("")] }],
      { sandbox: "danger-full-access" },
    );
    await turn("go");
    const sleeping = await until(() =>
      processesWith("cmdline", "sleep\x00300").find((pid) => inCwd(pid, cwd)),
    );
    const [leader] = processesOf(codexHomeOf(sleeping)).sort((a, b) => a - b);
    const requests = [
      server.request("command/exec", { command: ["sleep", "300"], cwd }),
      server.request("command/exec", { command: ["sleep", "300"], cwd }),
    ];
    const failures = Promise.all(requests.map(failure));
    process.kill(leader ?? 0, "SIGKILL");
    for (const error of await failures) {
      expect(error).toBeInstanceOf(AppServerExitedError);
      expect(error).toMatchObject({
        code: "app_server_exited",
        retryable: true,
        exit: { signal: "SIGKILL" },
      });
    }
    const end = await server.ended;
    expect(end).toMatchObject({ exit: { signal: "SIGKILL" }, tree: { empty: true } });
    expect(processesWith("cmdline", "sleep\x00300").filter((pid) => inCwd(pid, cwd))).toEqual([]);
    expect(await failure(server.request("model/list", {}))).toBe(end.error);
    expect(model.requests).toHaveLength(1);
  });

  test("its last words on standard error are part of the reason", async () => {
    const server = await fakeServer("dies");
    const error = await failure(server.request("model/list", {}));
    expect(error).toMatchObject({ code: "app_server_exited", exit: { code: 3, signal: null } });
    expect(String(error)).toContain("no more disk");
  });
});

describe("an app-server that misbehaves", () => {
  test.each(["garbage", "noAnswer", "longLine"])("%s ends it: an answer may have been lost", async (kind) => {
    const server = await fakeServer(kind);
    const error = await failure(server.request("model/list", {}));
    expect(error).toBeInstanceOf(AppServerGarbledError);
    expect(await server.ended).toMatchObject({ error, tree: { empty: true } });
  });

  test("a request that is not answered is given up, and the next one may work", async () => {
    const server = await fakeServer("silent");
    const error = await failure(server.request("model/list", {}, { timeoutMs: 20 }));
    expect(error).toBeInstanceOf(RequestTimeoutError);
    expect(error).toMatchObject({ retryable: true });
  });

  test("-32001 is asked again", async () => {
    const server = await fakeServer("busyTwice");
    expect(await server.request("model/list", {})).toEqual({ refusals: 2 });
  });

  test("-32001 for ever is an error that says so", async () => {
    const server = await fakeServer("busy");
    const error = await failure(server.request("model/list", {}));
    expect(error).toBeInstanceOf(AppServerOverloadedError);
    expect(error).toMatchObject({ retryable: true });
  });

  test("the pauses between tries double, and are never the same for all", () => {
    expect([1, 2, 3].map((tries) => overloadPauseMs(tries, 0))).toEqual([50, 100, 200]);
    expect([1, 2, 3].map((tries) => overloadPauseMs(tries, 1))).toEqual([100, 200, 400]);
  });

  test("a request of the server that nobody handles is answered with an error, not left waiting", async () => {
    const server = await fakeServer("asks");
    const answer: unknown = await server.request("model/list", {});
    expect(answer).toMatchObject({ id: "mine", error: { code: -32601 } });
  });

  test("one that ignores the end of its input and SIGTERM is killed", async () => {
    const server = await fakeServer("deaf");
    expect(await server.stop()).toMatchObject({ exit: { signal: "SIGKILL" }, tree: { empty: true } });
  });
});

describe("requests", () => {
  test("what Codex refuses is an error with its code", async () => {
    const server = await realServer();
    const error = await failure(server.request("thread/read", { threadId: "none", includeTurns: false }));
    expect(error).toBeInstanceOf(RequestFailedError);
    expect(error).toBeInstanceOf(CodexError);
    expect(error).toMatchObject({ code: "codex_request_failed", rpcCode: -32600, retryable: false });
  });

  test("a configuration that Codex cannot read starts no thread: the error names file and line", async () => {
    const home = codexHome(await fakeModel([]), { approval_policy: "sometimes" });
    const server = await appServer({ cwd: home, env: codexEnvironment(home) });
    const error = await failure(server.request("thread/start", { cwd: home }));
    expect(error).toBeInstanceOf(RequestFailedError);
    expect(String(error)).toContain(`${home}/config.toml:4:`);
  });

  test("a burst of four hundred is answered whole, though Codex drops what it cannot queue", async () => {
    const server = await realServer();
    const answers = await Promise.all(
      Array.from({ length: 400 }, async () => await server.request("thread/loaded/list", {})),
    );
    expect(answers).toHaveLength(400);
  });

  test("only so many are on their way at a time that Codex can queue them", async () => {
    const server = await fakeServer("gathers");
    const requests = Array.from({ length: 300 }, (): Promise<unknown> => server.request("model/list", {}));
    const together = (await Promise.all(requests)).map(Number);
    expect(together).toHaveLength(300);
    expect(Math.max(...together)).toBeLessThanOrEqual(64);
  });

  test("more than anybody should ask at a time is refused here", async () => {
    const server = await fakeServer("silent");
    const requests = Array.from({ length: 1_025 }, () =>
      server.request("model/list", {}, { timeoutMs: 500 }),
    );
    const errors = await Promise.all(requests.map(failure));
    expect(errors.filter((error) => error instanceof AppServerOverloadedError)).toHaveLength(1);
    expect(errors.filter((error) => error instanceof RequestTimeoutError)).toHaveLength(1_024);
  });
});

describe("server requests", () => {
  const escalated = command("echo made > made.txt", { sandbox_permissions: "require_escalated" });

  test("an approval is answered by its handler, and the turn goes on", async () => {
    const live = await liveThread([{ answers: [escalated, message("done")] }], {
      approvalPolicy: "on-request",
    });
    const asked: string[] = [];
    live.server.onServerRequest("item/commandExecution/requestApproval", async (params) => {
      asked.push(params.command ?? "");
      return { decision: "accept" };
    });
    await live.turn("go");
    expect((await live.tells("turn/completed")).params.turn.status).toBe("completed");
    expect(asked).toEqual([expect.stringContaining("echo made")]);
    expect(readFileSync(join(live.cwd, "made.txt"), "utf8")).toBe("made\n");
  });

  test("a handler that throws refuses, and the turn still ends", async () => {
    const live = await liveThread([{ answers: [escalated, message("done")] }], {
      approvalPolicy: "on-request",
    });
    live.server.onServerRequest("item/commandExecution/requestApproval", async () => {
      throw new Error("nobody is there");
    });
    await live.turn("go");
    expect((await live.tells("turn/completed")).params.turn.status).not.toBe("inProgress");
  });

  test("an approval of a turn that is interrupted is withdrawn from its handler", async () => {
    const live = await liveThread([{ answers: [escalated, message("done")] }], {
      approvalPolicy: "on-request",
    });
    const open = Promise.withResolvers<AbortSignal>();
    live.server.onServerRequest("item/commandExecution/requestApproval", async (_params, withdrawn) => {
      open.resolve(withdrawn);
      return await new Promise(() => undefined);
    });
    const turnId = await live.turn("go");
    const withdrawn = await open.promise;
    const gone = new Promise((resolve) => {
      withdrawn.addEventListener("abort", resolve);
    });
    await live.server.request("turn/interrupt", { threadId: live.threadId, turnId });
    await gone;
    expect((await live.tells("turn/completed")).params.turn.status).toBe("interrupted");
  });
});

describe("notifications", () => {
  test("a listener of one thread hears nothing of another, and nothing once it has left", async () => {
    const live = await liveThread([{ answers: [message("done")] }]);
    const { thread } = await live.server.request("thread/start", { cwd: live.cwd });
    const heard: string[] = [];
    live.server.onNotification(({ method }) => heard.push(method), thread.id);
    const leave = live.server.onNotification(({ method }) => heard.push(method), live.threadId);
    leave();
    await live.turn("go");
    await live.tells("turn/completed");
    expect(heard).not.toContain("turn/completed");
  });
});

describe("the end", () => {
  test("stop leaves no process, not even a command that runs", async () => {
    const { server, turn, cwd } = await liveThread([{ answers: [command("sleep 301"), message("")] }]);
    await turn("go");
    const sleeping = await until(() =>
      processesWith("cmdline", "sleep\x00301").find((pid) => inCwd(pid, cwd)),
    );
    const home = codexHomeOf(sleeping);
    const end = await server.stop();
    expect(end).toMatchObject({ exit: { code: 0 }, tree: { empty: true } });
    expect(processesOf(home)).toEqual([]);
    expect(processesWith("cmdline", "sleep\x00301").filter((pid) => inCwd(pid, cwd))).toEqual([]);
    expect(await server.stop()).toEqual(end);
  });

  test("stop while a model answer is on its way", async () => {
    const { server, model, turn } = await liveThread([{ answers: [held(message("never"))] }]);
    await turn("go");
    await until(() => model.requests[0]);
    expect(await server.stop()).toMatchObject({ tree: { empty: true } });
  });

  test("a paused app-server can be stopped", async () => {
    const server = await realServer();
    server.pause();
    void server.request("model/list", {}).catch(() => undefined);
    expect(await server.stop()).toMatchObject({ exit: { code: 0 } });
  });
});

describe("an app-server that runs already", () => {
  test.each(["ws", "unix"])("%s: it is asked, and goes on when the connection ends", async (kind) => {
    const home = codexHome(await fakeModel([{ answers: [message("over a socket")] }]));
    const url = kind === "ws" ? "ws://127.0.0.1:0" : `unix://${join(home, "server.sock")}`;
    const address = await listening(home, url);
    const server = await connected(address);
    const { thread } = await server.request("thread/start", { cwd: home, sandbox: "read-only" });
    const completed = Promise.withResolvers<string>();
    server.onNotification((notification) => {
      if (notification.method === "turn/completed") completed.resolve(notification.params.turn.status);
    }, thread.id);
    const input = [{ type: "text" as const, text: "go", text_elements: [] }];
    await server.request("turn/start", { threadId: thread.id, input });
    expect(await completed.promise).toBe("completed");
    const end = await server.stop();
    expect(end.error).toBeInstanceOf(AppServerExitedError);
    expect(end.tree).toBeUndefined();
    expect(await failure(server.request("model/list", {}))).toBe(end.error);
    await (await connected(address)).stop();
  });

  test("when it goes, requests over its socket reject", async () => {
    const home = codexHome(await fakeModel([]));
    const address = await listening(home, `unix://${join(home, "server.sock")}`);
    const server = await connected(address);
    const asked = failure(server.request("command/exec", { command: ["sleep", "300"], cwd: home }));
    for (const pid of processesWith("cmdline", join(home, "server.sock")))
      process.kill(Number(pid), "SIGKILL");
    expect(await asked).toBeInstanceOf(AppServerExitedError);
    await server.ended;
  });
});

async function connected(url: string): Promise<AppServer> {
  const server = await connectAppServer(url, { version: "0.0.0" });
  onTestFinished(async () => {
    await server.stop();
  });
  return server;
}

/** Starts the real one, and resolves with the address that it listens at. */
async function listening(home: string, url: string): Promise<string> {
  const { file, args } = findCodex();
  const child = spawn(file, [...args, "app-server", "--listen", url], {
    cwd: home,
    env: codexEnvironment(home),
    stdio: ["ignore", "pipe", "pipe"],
  });
  onTestFinished(() => {
    child.kill("SIGKILL");
  });
  let said = "";
  for (const pipe of [child.stdout, child.stderr])
    pipe.on("data", (bytes: Buffer) => {
      said += bytes.toString();
    });
  return await until(async () => {
    const address = url.startsWith("ws") ? /ws:\/\/127\.0\.0\.1:\d+/.exec(said)?.[0] : url;
    if (address === undefined) return undefined;
    // The file of a socket is there before somebody listens.
    const open = await connectAppServer(address, { version: "0" }).catch(() => undefined);
    await open?.stop();
    return open && address;
  });
}

function inCwd(pid: string, cwd: string): boolean {
  return environmentOf(pid)["PWD"] === cwd;
}

function codexHomeOf(pid: string): string {
  return environmentOf(pid)["CODEX_HOME"] ?? "";
}

function environmentOf(pid: string): Record<string, string | undefined> {
  const pairs = readFileSync(`/proc/${pid}/environ`, "utf8").split("\0");
  return Object.fromEntries(pairs.map((pair) => pair.split(/=(.*)/s, 2)) as Array<[string, string]>);
}
