/**
 * What the whole product adds to a turn of Codex: from an event's sending to the answer that its run is over, against a
 * bare app-server driven by hand, with the same model behind both (a fake one, which answers at once). Both ask for the
 * same: a new thread in the same directory, read-only, nobody asked, one message, the answer in the same form.
 *
 * Cold: no app-server runs when the clock starts, on either side; both homes have been used before. The agent is there
 * and idle, as people have it. Warm: the turns behind that, in the same server. The two sides take turns, so that a slow
 * moment of the machine hits both.
 */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { stringify } from "smol-toml";
import { createEdgeClient, type EdgeClient } from "../client/http.ts";
import { startAppServer, type AppServer } from "../runner-agent/codex/app-server.ts";
import { answerForm } from "../runner-agent/codex/step/final-answer.ts";
import { structured } from "../test/support/fake-model/answers.ts";
import { fakeModelConfig, writeModelCatalog } from "../test/support/fake-model/codex-home.ts";
import { FakeModel } from "../test/support/fake-model/fake-model.ts";
import { atMost, median, type BenchOptions, type Figure } from "./figures.ts";
import { startRunner } from "./runner.ts";
import { edgeServer, type EdgeServer } from "./servers.ts";

const WARM_TURNS = 15;
/** A round has one cold turn: a median of as many as other benches have rounds would be chance. */
const ROUNDS_FOR_ONE = 3;
const COLD_BAR_MS = 60;
const WARM_BAR_MS = 30;
const FORM = answerForm(undefined).schema as Record<string, never>;
/** Codex's home may not lie where commands in a sandbox may write. */
const PARENT = "/var/tmp";

interface Round {
  coldMs: number;
  warmMs: number;
}

export async function codex({ rounds, amount }: BenchOptions): Promise<Figure[]> {
  const [oneRound, warmTurns] = [amount(ROUNDS_FOR_ONE, 1), amount(WARM_TURNS, 1)];
  const folder = await mkdtemp(join(PARENT, "codex-flow-bench-"));
  const model = await FakeModel.start([{ answers: [structured({ status: "completed", message: "done" })] }]);
  const edge = await edgeServer();
  try {
    const config = fakeModelConfig(model.url, writeModelCatalog(folder));
    await mkdir(join(edge.workspace, ".codex"), { recursive: true });
    await writeFile(
      join(edge.workspace, ".codex/runner.toml"),
      stringify({ codex: { home: join(folder, "of-the-runner"), config } }),
    );
    const home = join(folder, "by-hand");
    await mkdir(home);
    await writeFile(join(home, "config.toml"), stringify(config));
    const product: Round[] = [];
    const bare: Round[] = [];
    // The first round makes both homes, and counts for neither.
    for (let round = 0; round <= oneRound * rounds; round += 1) {
      const [of, by] = [
        await throughProduct(edge, round, warmTurns),
        await byHand(home, join(edge.workspace, "flows/bench"), warmTurns),
      ];
      if (round === 0) continue;
      product.push(of);
      bare.push(by);
    }
    const over = (of: keyof Round): number =>
      median(product.map((round, n) => round[of] - (bare[n]?.[of] ?? 0)));
    return [
      { name: "bare app-server, cold turn", value: median(bare.map(({ coldMs }) => coldMs)), unit: "ms" },
      atMost("product over it, cold", over("coldMs"), "ms", COLD_BAR_MS),
      { name: "bare app-server, warm turn", value: median(bare.map(({ warmMs }) => warmMs)), unit: "ms" },
      atMost("product over it, warm", over("warmMs"), "ms", WARM_BAR_MS),
    ];
  } finally {
    await edge.close();
    await model.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

async function throughProduct(edge: EdgeServer, round: number, warmTurns: number): Promise<Round> {
  const runner = await startRunner(edge, 1);
  const client = createEdgeClient({ url: edge.url, token: edge.secrets.tokens.write });
  try {
    const turn = (n: number): Promise<number> => timed(() => dispatched(client, `codex:${round}:${n}`));
    const coldMs = await turn(0);
    const warm: number[] = [];
    for (let n = 1; n <= warmTurns; n += 1) warm.push(await turn(n));
    return { coldMs, warmMs: median(warm) };
  } finally {
    await runner.stop();
  }
}

async function dispatched(client: EdgeClient, id: string): Promise<void> {
  const { runs } = await client.dispatch({ id: `${id}:${process.pid}`, type: "bench.turn" }, { wait: true });
  if (runs[0]?.effectiveStatus !== "completed")
    throw new Error(
      `a codex step ended as ${runs[0]?.effectiveStatus ?? "nothing"}: ${runs[0]?.error ?? ""}`,
    );
}

async function byHand(home: string, cwd: string, warmTurns: number): Promise<Round> {
  let server: AppServer | undefined;
  const env = { PATH: process.env["PATH"] ?? "", HOME: home, CODEX_HOME: home, TMPDIR: "/tmp" };
  try {
    const coldMs = await timed(async () => {
      server = await startAppServer({ cwd: home, env, version: "bench" });
      await oneTurn(server, cwd);
    });
    const warm: number[] = [];
    for (let n = 0; n < warmTurns; n += 1)
      if (server !== undefined) {
        const running = server;
        warm.push(await timed(() => oneTurn(running, cwd)));
      }
    return { coldMs, warmMs: median(warm) };
  } finally {
    await server?.stop();
  }
}

async function oneTurn(server: AppServer, cwd: string): Promise<void> {
  const over = Promise.withResolvers<undefined>();
  const stop = server.onNotification(({ method }) => {
    if (method === "turn/completed") over.resolve(undefined);
  });
  const settings = { cwd, sandbox: "read-only", approvalPolicy: "never" } as const;
  const { thread } = await server.request("thread/start", settings);
  const input = [{ type: "text" as const, text: "Do it.", text_elements: [] }];
  await server.request("turn/start", { threadId: thread.id, input, outputSchema: FORM });
  await over.promise;
  stop();
}

async function timed(act: () => Promise<void>): Promise<number> {
  const began = performance.now();
  await act();
  return performance.now() - began;
}
