/** `codex-flow discord register` against a Discord on loopback: what it changes, what it says, and that no token shows. */
import { describe, expect, onTestFinished, test } from "vitest";
import { DISCORD_COMMANDS } from "../../contract/chat/discord-commands.ts";
import { EXIT } from "../../runner-agent/cli/exit-codes.ts";
import { commandChanges, forGuild } from "../../runner-agent/discord/command-changes.ts";
import { codexFlow, type Ended } from "../support/command-line.ts";
import { FakeDiscord } from "../support/fake-discord/index.ts";
import { startEndpoint } from "../support/http-endpoint.ts";

async function startDiscord(): Promise<FakeDiscord> {
  const fake = await FakeDiscord.start();
  onTestFinished(() => fake.stop());
  return fake;
}

/**
 * An edge that knows the application's key: it answers pings, and 401 to a bad signature. Once each, as Discord asks. And
 * it lets servers in.
 */
async function startEdge(fake: FakeDiscord, letIn: string[] = []): Promise<string> {
  let asked = 0;
  const url = await startEndpoint(({ method, path, headers, body }) => {
    if (path === "/chat/servers") {
      if (headers.authorization !== "Bearer admin") return { status: 403, body: {} };
      if (method === "POST") {
        const { server, allowed } = JSON.parse(body) as { server: string; allowed: boolean };
        letIn.splice(0, letIn.length, ...letIn.filter((one) => one !== server), ...(allowed ? [server] : []));
      }
      const at = "2026-01-01T00:00:00.000Z";
      return {
        status: 200,
        body: { servers: letIn.map((server) => ({ server, allowedBy: "ada", at })) },
      };
    }
    asked += 1;
    return asked % 2 === 1 ? { status: 200, body: { type: 1 } } : { status: 401, body: {} };
  });
  expect(fake.endpointUrl).toBeUndefined();
  return url.replace(/\/$/, "");
}

async function register(
  fake: FakeDiscord,
  edge: string,
  words: string[] = [],
  environment: Record<string, string> = {},
): Promise<Ended> {
  const ended = await codexFlow(["discord", "register", "--url", edge, ...words], {
    environment: {
      DISCORD_API_URL: fake.apiUrl,
      DISCORD_APPLICATION_ID: fake.app.id,
      DISCORD_BOT_TOKEN: fake.botToken,
      ...environment,
    },
  });
  expect(ended.out + ended.err).not.toContain(environment["DISCORD_BOT_TOKEN"] || fake.botToken);
  return ended;
}

const changing = (fake: FakeDiscord): string[] =>
  fake.requests.filter(({ method }) => method !== "GET").map(({ method }) => method);

describe("discord register", () => {
  test("without --yes shows what would change, and changes nothing", async () => {
    const fake = await startDiscord();
    const { code, out, err } = await register(fake, "https://flows.example.com");
    expect(err).toContain("--yes");
    expect(code).toBe(EXIT.ok);
    expect(out).toContain("+ interactions  https://flows.example.com/discord/interactions");
    for (const command of DISCORD_COMMANDS)
      expect(out).toContain(`+ ${"description" in command ? "/" : ""}${command.name}`);
    expect(out).toContain(`client_id=${fake.app.id}&scope=bot+applications.commands`);
    expect(out).toContain(fake.publicKey);
    expect(changing(fake)).toEqual([]);
  });

  test("with --yes changes it, and the second time nothing", async () => {
    const fake = await startDiscord();
    const edge = await startEdge(fake);
    expect((await register(fake, edge, ["--yes"])).code).toBe(EXIT.ok);
    expect(fake.endpointUrl).toBe(`${edge}/discord/interactions`);
    expect(fake.commands().map((command) => command["name"])).toEqual(
      DISCORD_COMMANDS.map(({ name }) => name),
    );
    expect(changing(fake)).toEqual(["PUT", "PATCH"]);
    const again = await register(fake, edge, ["--yes"]);
    expect(again.err).toContain("nothing is to change");
    expect(changing(fake)).toEqual(["PUT", "PATCH"]);
    expect(fake.faults).toEqual([]);
  });

  test("for one server: its commands alone, the edge lets it in, and again nothing", async () => {
    const fake = await startDiscord();
    const letIn: string[] = [];
    const edge = await startEdge(fake, letIn);
    const words = ["--guild", fake.guild.id];
    const token = { CODEX_FLOW_TOKEN: "admin" };
    const shown = await register(fake, edge, words, token);
    expect(shown.out).toContain(`+ server  ${fake.guild.id}`);
    expect(shown.out).toContain(`&guild_id=${fake.guild.id}`);
    expect([letIn, changing(fake)]).toEqual([[], []]);
    words.push("--yes");
    await register(fake, edge, words, token);
    expect(letIn).toEqual([fake.guild.id]);
    expect(fake.commands(fake.guild.id)).toHaveLength(DISCORD_COMMANDS.length);
    expect(fake.commands()).toEqual([]);
    expect((await register(fake, edge, words, token)).err).toContain("nothing is to change");
    expect(fake.faults).toEqual([]);
  });

  test("for one server without a token of the edge: nothing is changed, and what is missing is said", async () => {
    const fake = await startDiscord();
    const edge = await startEdge(fake);
    const { code, err } = await register(fake, edge, ["--guild", fake.guild.id, "--yes"]);
    expect([code, changing(fake)]).toEqual([EXIT.usage, []]);
    expect(err).toContain("CODEX_FLOW_TOKEN");
  });

  test("a bot that anybody can add to his server is warned of, and servers that are not let in", async () => {
    const fake = await startDiscord();
    const { out } = await register(fake, "https://flows.example.com");
    expect(out).toContain("The bot is public");
    expect(out).toContain("codex-flow discord allow");
    fake.setPublic(false);
    expect((await register(fake, "https://flows.example.com")).out).not.toContain("The bot is public");
  });

  test("servers are let in, listed, and put out again", async () => {
    const fake = await startDiscord();
    const url = await startEdge(fake);
    const discord = (...words: string[]): Promise<Ended> =>
      codexFlow(["discord", ...words, "--url", url], { environment: { CODEX_FLOW_TOKEN: "admin" } });
    expect((await discord("allow", "123456789012345678")).out).toContain("123456789012345678");
    expect((await discord("servers")).out).toContain("123456789012345678");
    expect((await discord("forbid", "123456789012345678")).out).toContain("no server is let in");
    expect(await discord("allow", "mine")).toMatchObject({ code: EXIT.usage });
  });

  test("an edge that does not answer Discord: what to do is said, and the commands are there", async () => {
    const fake = await startDiscord();
    const url = await startEndpoint(() => ({ status: 200, body: {} }));
    const { code, out, err } = await register(fake, url.replace(/\/$/, ""), ["--yes"]);
    expect(code).toBe(EXIT.usage);
    expect(out).toContain(fake.publicKey);
    expect(err).toContain("DISCORD_PUBLIC_KEY");
    expect(fake.endpointUrl).toBeUndefined();
  });

  test.each([
    [{ DISCORD_BOT_TOKEN: "wrong.token.here" }, "copy the bot's token again"],
    [{ DISCORD_BOT_TOKEN: "" }, "DISCORD_BOT_TOKEN is not set"],
    [{ DISCORD_APPLICATION_ID: "" }, "DISCORD_APPLICATION_ID is not set"],
    [{ DISCORD_APPLICATION_ID: "mine" }, "DISCORD_APPLICATION_ID is no id"],
    [{ DISCORD_APPLICATION_ID: "123456789012345678" }, "belongs to the application"],
  ])("%j is refused with what to do", async (environment, said) => {
    const fake = await startDiscord();
    const { code, err } = await register(fake, "https://flows.example.com", ["--yes"], environment);
    expect(code).toBe(EXIT.usage);
    expect(err).toContain(said);
    expect(changing(fake)).toEqual([]);
  });
});

describe("what differs", () => {
  const stored = (command: object): object => ({
    ...command,
    id: "1",
    application_id: "2",
    version: "3",
    nsfw: false,
    dm_permission: true,
    name_localizations: null,
    default_member_permissions:
      "default_member_permissions" in command ? Number(command.default_member_permissions) : null,
  });

  test("nothing, however Discord writes it", () => {
    expect(commandChanges(DISCORD_COMMANDS.map(stored).reverse(), DISCORD_COMMANDS)).toEqual([]);
  });

  test("each thing that people could notice", () => {
    const [first] = DISCORD_COMMANDS;
    if (first === undefined || !("options" in first)) throw new Error("a command with options");
    const changed = { ...first, description: "other", options: first.options?.slice(1) };
    const gone = { type: 1, name: "old", description: "x" };
    const changes = commandChanges([stored(changed), gone], [first]);
    expect(changes).toEqual([
      {
        name: `/${first.name}`,
        change: "changed",
        parts: expect.arrayContaining(["- description other"]) as string[],
      },
      { name: "/old", change: "gone", parts: [] },
    ]);
    expect(changes[0]?.parts.some((part) => part.startsWith("+ dispatch type"))).toBe(true);
  });

  test("a server's commands say nothing of where they are offered", () => {
    for (const command of forGuild(DISCORD_COMMANDS)) {
      expect(command).not.toHaveProperty("contexts");
      expect(command).not.toHaveProperty("integration_types");
    }
  });
});
