/** `codex-flow dispatch` as its real process, against an edge on loopback: what it sends, waits for and ends with. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { EXIT } from "../../runner-agent/cli/exit-codes.ts";
import { access, codexFlow } from "../support/command-line.ts";
import { EVENT_SECRET, startFakeEdge } from "../support/fake-edge.ts";
import { temporaryFolder } from "../support/flow-workspace.ts";
import { endedRun, queuedRun, runningRun } from "../support/run-fixtures.ts";

const RUN = "run_0123456789abcdef_1";

describe("dispatch", () => {
  test("sends what the flags say, makes an id from the content, and prints it", async () => {
    const edge = await startFakeEdge({ runs: [[queuedRun()]] });
    const words = ["dispatch", "--type", "demo.hello", "--payload", '{"name":"Ada"}'];
    const { code, out } = await codexFlow(words, access(edge));
    expect(code).toBe(EXIT.ok);
    const sent = JSON.parse(edge.calls[0]?.body ?? "") as { id: string };
    expect(sent).toEqual({
      id: expect.stringMatching(/^cli-/) as string,
      type: "demo.hello",
      payload: { name: "Ada" },
    });
    expect(out).toContain(`accepted  ${sent.id} started 1 run`);
    expect(out).toContain(`codex-flow runs logs -f ${RUN}`);
  });

  test("reads standard input, signs with the secret, and needs no token", async () => {
    const edge = await startFakeEdge();
    const environment = { CODEX_FLOW_URL: edge.url, CODEX_FLOW_BACKEND_SECRET: EVENT_SECRET };
    const { code, out } = await codexFlow(["dispatch", "-", "--json"], {
      environment,
      input: '{"id":"e:1","type":"t"}',
    });
    expect(code).toBe(EXIT.ok);
    expect(JSON.parse(out)).toMatchObject({ status: "accepted", eventId: "e:1" });
    expect(edge.calls[0]?.headers).toHaveProperty("x-flow-signature-256");
  });

  test("--wait for an event that matches nothing ends with 1; without it, that is a good answer", async () => {
    const edge = await startFakeEdge({ runs: [[]] });
    const words = ["dispatch", "--type", "nobody.waits"];
    const [waited, json, plain] = await Promise.all([
      codexFlow([...words, "--wait=5"], access(edge)),
      codexFlow([...words, "--wait=5", "--json"], access(edge)),
      codexFlow(words, access(edge)),
    ]);
    expect([waited.code, json.code, plain.code]).toEqual([EXIT.bad, EXIT.bad, EXIT.ok]);
    expect(waited.out).toContain("matches no deployed step");
    expect(JSON.parse(json.out)).toMatchObject({ matched: 0, runs: [] });
  });

  test("--wait tells each change on standard error and ends with the result", async () => {
    const edge = await startFakeEdge({
      runs: [[queuedRun()], [runningRun()], [endedRun("changed", "two files")]],
    });
    const file = join(await temporaryFolder(), "event.json");
    await writeFile(file, '{"id":"e:1","type":"t"}');
    const { code, out, err } = await codexFlow(["dispatch", "--wait", file], access(edge));
    expect(code).toBe(EXIT.ok);
    expect(
      err
        .trim()
        .split("\n")
        .map((line) => line.replace(/ {2,}/g, " | ")),
    ).toEqual([
      "accepted | e:1 started 1 run",
      `${RUN} release/rebase | queued`,
      `${RUN} release/rebase | running`,
      `${RUN} release/rebase | changed | two files`,
    ]);
    expect(out).toBe(`result  ${RUN}  changed  2.5 s  two files\n`);
  });

  test.each([
    ["a run that needs attention: 1", "blocked", EXIT.bad],
    ["a run that was skipped: 0", "skipped", EXIT.ok],
  ] as const)("--wait with %s", async (_name, status, expected) => {
    const edge = await startFakeEdge({ runs: [[runningRun()], [endedRun(status)]] });
    const { code, out } = await codexFlow(
      ["dispatch", "--type", "t", "--wait", "30", "--json"],
      access(edge),
    );
    expect(code).toBe(expected);
    expect(JSON.parse(out)).toMatchObject({ status: "accepted", runs: [{ effectiveStatus: status }] });
  });

  test("--wait that ends before the runs: 7", async () => {
    const edge = await startFakeEdge({ runs: [[runningRun()]] });
    const { code, err } = await codexFlow(
      ["dispatch", "--type", "t", "--id", "e 1", "--wait", "0"],
      access(edge),
    );
    expect(code).toBe(EXIT.unfinished);
    expect(err).toContain("the runs go on: codex-flow runs list --event 'e 1'");
  });

  test("another event with the same id: 6 (invariant 2)", async () => {
    const edge = await startFakeEdge({ duplicate: true, conflict: true });
    const { code, out } = await codexFlow(["dispatch", "--type", "t", "--wait"], access(edge));
    expect(code).toBe(EXIT.conflict);
    expect(out).toContain("another type, source or payload");
  });

  test("--dry-run says why a step does not match: 1 when none does", async () => {
    const misses = [
      { flow: "release", step: "rebase", errors: [{ path: "/payload/tag", message: "is required" }] },
    ];
    const edge = await startFakeEdge({ misses });
    const { code, out } = await codexFlow(["dispatch", "--type", "t", "--dry-run"], access(edge));
    expect(code).toBe(EXIT.bad);
    expect(out).toContain("/payload/tag is required");
    const matching = await startFakeEdge({ matches: [{ flow: "release", step: "rebase", pool: "default" }] });
    expect((await codexFlow(["dispatch", "--type", "t", "--dry-run"], access(matching))).code).toBe(EXIT.ok);
  });
});
