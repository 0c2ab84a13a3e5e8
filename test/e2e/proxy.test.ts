/** A machine whose only way out is a proxy: `edge.test` is a name that the proxy alone can resolve. */
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { forwardProxy } from "../support/forward-proxy.ts";
import { temporaryFolder } from "../support/flow-workspace.ts";
import { Daemon, Edge, runProgram } from "../support/program.ts";
import { storyWorkspace } from "../support/story-workspace.ts";

const URL_BEHIND = "http://edge.test";

test("agent, command line, live logs and doctor reach an edge that only the proxy of HTTP_PROXY can reach", async () => {
  const workspace = await storyWorkspace();
  const edge = await Edge.start({ workspace: workspace.root });
  onTestFinished(() => edge.stop());
  const proxy = await forwardProxy({ "edge.test": Number(new URL(edge.info.url).port) });
  const way = { HTTP_PROXY: proxy.url, CODEX_FLOW_URL: URL_BEHIND };
  const runner = new Daemon(
    ["runner", "start", "--workspace", workspace.root, "--journal", join(await temporaryFolder(), "journal")],
    { ...way, CODEX_FLOW_TOKEN: edge.info.tokens.runner },
    workspace.root,
  );
  onTestFinished(() => runner.kill());
  await runner.line(/connected to pool/);

  const admin = { ...way, CODEX_FLOW_TOKEN: edge.info.tokens.admin };
  const command = (...args: string[]) => runProgram(args, workspace.root, admin);
  const sent = await command(
    "dispatch",
    "--type",
    "story.work",
    "--payload",
    '{"pauseMs":1}',
    "--wait",
    "--json",
  );
  expect(sent.exitCode, sent.output).toBe(0);
  const runId = /run_[0-9a-z]+_1/.exec(sent.output)?.[0] ?? "";
  expect((await command("runs", "logs", "-f", runId)).output).toContain(`line 1 of ${runId}`);
  const doctor = await command("runner", "doctor", "--workspace", workspace.root);
  expect(doctor.output).toMatch(/websocket\s+ok\s+opens through the proxy http:\/\/127\.0\.0\.1/);
  expect(new Set(proxy.asked)).toEqual(new Set(["edge.test:80"]));
});

test("an agent names the proxy that refuses it, and NO_PROXY keeps it from the proxy", async () => {
  const workspace = await storyWorkspace();
  const proxy = await forwardProxy({});
  proxy.refuseWith = 407;
  const start = (environment: Record<string, string>): Daemon => {
    const daemon = new Daemon(
      ["runner", "start", "--workspace", workspace.root],
      { CODEX_FLOW_URL: URL_BEHIND, CODEX_FLOW_TOKEN: "a-runner-token-of-some-edge", ...environment },
      workspace.root,
    );
    onTestFinished(() => daemon.kill());
    return daemon;
  };
  const refused = start({ http_proxy: proxy.url });
  const line = await refused.line(/cannot reach the edge/);
  expect(line).toContain("407");
  expect(line).toContain(`through the proxy ${proxy.url}`);
  await refused.kill();
  const asked = proxy.asked.length;
  const direct = start({ http_proxy: proxy.url, NO_PROXY: "edge.test" });
  expect(await direct.line(/cannot reach the edge/)).toMatch(/edge\.test/);
  expect(proxy.asked).toHaveLength(asked);
});
