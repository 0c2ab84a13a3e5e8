/** From `discord register` to a canceled run, through the real edge, with a Discord that checks every answer as Discord does. */
import { expect, onTestFinished, test } from "vitest";
import { codexFlow } from "../support/command-line.ts";
import { FakeDiscord, NO_LIMITS, type Interacted } from "../support/fake-discord/index.ts";
import { temporaryFolder, writeFiles } from "../support/flow-workspace.ts";
import { Edge } from "../support/program.ts";
import { until } from "../support/until.ts";

const MANIFEST = `name = "hello"
version = 1
[[steps]]
name = "greet"
runner = "bun"
script = "greet.ts"
[steps.trigger]
type = "demo.hello"
schema = "hello.schema.json"
`;
const SCHEMA = JSON.stringify({
  type: "object",
  required: ["name"],
  properties: { name: { type: "string" } },
});

/** People who ask at the same moment. */
const CROWD = 20;

/** Everything that a reader sees of an answer. */
function textOf({ text }: Interacted): string {
  return text.replaceAll("\\\\", "");
}

test("registered, asked for by a role, waiting for a runner, looked at and canceled; strangers get nothing", async () => {
  const discord = await FakeDiscord.start({ limits: NO_LIMITS });
  onTestFinished(() => discord.stop());
  const workspace = await temporaryFolder();
  await writeFiles(workspace, {
    "flows/hello/flow.toml": MANIFEST,
    "flows/hello/hello.schema.json": SCHEMA,
    "flows/hello/greet.ts": "",
  });
  const env = {
    DISCORD_APPLICATION_ID: discord.app.id,
    DISCORD_PUBLIC_KEY: discord.publicKey,
    DISCORD_BOT_TOKEN: discord.botToken,
    DISCORD_API_URL: discord.apiUrl,
  };
  const edge = await Edge.start({ state: await temporaryFolder(), workspace, env });
  onTestFinished(() => edge.stop());

  // Discord asks the address itself, once rightly and once with a bad signature.
  const words = ["discord", "register", "--url", edge.info.url, "--yes"];
  const registered = await codexFlow(words, { environment: env });
  expect([registered.code, registered.err]).toEqual([0, expect.stringContaining("done")]);
  const url = discord.endpointUrl ?? "";
  expect(await discord.verifyEndpoint(url)).toBeUndefined();

  const boss = discord.addUser({ username: "boss", permissions: "8" });
  const role = discord.addRole("developers");
  const ada = discord.addUser({ username: "ada", roles: [role.id] });
  const send = (
    name: string,
    options: Parameters<FakeDiscord["command"]>[1],
    by = ada,
  ): Promise<Interacted> => discord.ask(url, discord.command(name, options, { by }));

  const hello = { type: "demo.hello", payload: '{"name":"Ada"}' };
  // Anybody's server is not ours yet, its administrator neither.
  expect(textOf(await send("flow dispatch", hello, boss))).toContain(
    `codex-flow discord allow ${discord.guild.id}`,
  );
  const owner = {
    ...env,
    CODEX_FLOW_URL: edge.info.url,
    CODEX_FLOW_TOKEN: edge.info.tokens.admin,
  };
  expect((await codexFlow(["discord", "allow", discord.guild.id], { environment: owner })).code).toBe(0);
  expect(textOf(await send("flow dispatch", hello))).toContain("run:start");
  const who = discord.command("roles set", { who: { type: 9, value: role.id } }, { by: boss });
  who.data["resolved"] = { roles: { [role.id]: role } };
  const asked = await discord.ask(url, who);
  const choice = asked.message;
  if (choice === undefined) throw new Error("no choice was shown");
  const given = discord.select(choice, `v1:grant:role:${role.id}`, ["run:read", "run:start", "run:reply"], {
    by: boss,
  });
  expect(textOf(await discord.ask(url, given))).toContain("run:start");

  expect(textOf(await send("flow dispatch", { ...hello, payload: "{}" }))).toContain(
    "/payload/name is required",
  );
  const form = await send("flow dispatch", { type: "demo.hello" });
  if (form.modal === undefined) throw new Error("no form was shown");
  const sent = await discord.ask(
    url,
    discord.modalSubmit(form.modal, { type: "demo.hello", payload: hello.payload }, { by: ada }),
  );
  const run = /run_[0-9a-z]{16}_1/.exec(sent.text)?.[0] ?? "";
  expect(await edge.client().getRun(run)).toMatchObject({
    status: "queued",
    requestedBy: `discord:${ada.id} (ada)`,
  });

  for (const [name, seen] of [
    ["flow show", "no runner"],
    ["flow logs", "printed nothing"],
    ["runners", "No runner is known"],
    ["status", "1 run shown"],
  ] as const)
    expect(textOf(await send(name, name.startsWith("flow") ? { run } : {}))).toContain(seen);
  const typed = discord.autocomplete("flow dispatch", { type: "demo" }, "type", { by: ada });
  expect((await discord.ask(url, typed)).choices).toEqual([{ name: "demo.hello", value: "demo.hello" }]);

  expect(textOf(await send("codex approve", { run }))).toContain("run:approve");
  expect(textOf(await send("flow cancel", { run }))).toContain("Canceled");
  // Found out late, a repetition has been acknowledged; it says and starts nothing all the same.
  for (const { status } of [await discord.replay(sent), await discord.resign(sent)])
    expect([200, 409]).toContain(status);
  const told = sent.message?.history.length;
  await discord.interact(url, discord.command("flow dispatch", hello, { by: ada }), { spoil: "forged" });

  // More people at once than are answered at once: some see a deferral first, and everybody one answer.
  const crowd = await Promise.all(
    Array.from({ length: CROWD }, () =>
      discord.interact(url, discord.command("flow dispatch", hello, { by: ada })),
    ),
  );
  expect(crowd.map(({ what }) => what)).toContain("thinking");
  const started = await Promise.all(
    crowd.map(async ({ message, what }) => {
      if (what === "thinking") await discord.waitFor(() => message?.editedAtMs !== undefined);
      return /run_[0-9a-z]{16}_1/.exec(JSON.stringify(message?.history.at(-1)))?.[0];
    }),
  );
  expect(new Set(started).size).toBe(CROWD);
  expect(started).not.toContain(undefined);

  const environment = { CODEX_FLOW_URL: edge.info.url, CODEX_FLOW_TOKEN: edge.info.tokens.admin };
  await until(async () => {
    const all = await codexFlow(["audit", "--user", ada.id, "--json"], { environment });
    return all.out.split('"replayed"').length === 3 || undefined;
  });
  expect(sent.message?.history).toHaveLength(told ?? 0);
  for (const { what, message } of crowd) expect(message?.history).toHaveLength(what === "thinking" ? 2 : 1);

  const audit = await codexFlow(["audit", "--run", run, "--json"], {
    environment,
  });
  const acts = (JSON.parse(audit.out) as { audit: { act: string; verdict: string; outcome: string }[] })
    .audit;
  expect(acts.map(({ act, verdict }) => `${act} ${verdict}`)).toEqual([
    "flow cancel allowed",
    "codex approve denied",
    "flow logs allowed",
    "flow show allowed",
    "flow dispatch allowed",
  ]);
  expect(discord.faults.filter(({ tolerated }) => !tolerated)).toEqual([]);
  expect(edge.output).not.toContain(discord.botToken);
});
