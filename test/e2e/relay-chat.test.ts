/** A relayed session as people see it in their channel: from the guard to the end, with a secret in it that nobody sees. */
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { FakeDiscord, NO_LIMITS } from "../support/fake-discord/index.ts";
import { codexFlow, Daemon, Edge } from "../support/program.ts";

const SECRET = "s3cr3t-of-the-box-0123456789";
const HALF = SECRET.length / 2;
/** Prints the secret in two writes, and says that it is done. */
const AGENT = `printf %s "$STORY_TOKEN" | cut -c1-${HALF} | tr -d '\\n'; sleep 0.3; printf '%s\\n' "$STORY_TOKEN" | cut -c${HALF + 1}-; echo all done`;

test("/codeflow on is answered in the channel; the session has a thread, a card and an end there, and no secret", async () => {
  const root = await mkdtemp(join("/var/tmp", "relay-chat-story-"));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  for (const folder of ["tmp", "app", "workspace", "home"]) await mkdir(join(root, folder));
  const discord = await FakeDiscord.start({ limits: NO_LIMITS });
  onTestFinished(() => discord.stop());
  const edge = await Edge.start({
    state: join(root, "edge"),
    workspace: join(root, "workspace"),
    env: {
      DISCORD_APPLICATION_ID: discord.app.id,
      DISCORD_PUBLIC_KEY: discord.publicKey,
      DISCORD_BOT_TOKEN: discord.botToken,
      DISCORD_API_URL: discord.apiUrl,
    },
  });
  onTestFinished(() => edge.stop());
  const channel = discord.text.id;

  const on = await codexFlow(
    edge,
    "control",
    "--channel",
    channel,
    "--session-key",
    "main",
    "--text",
    "/codeflow",
  );
  expect(on.code).toBe(0);
  await discord.waitFor(() =>
    discord.messages(channel).some((message) => JSON.stringify(message).includes("Codeflow is on here")),
  );

  const relay = new Daemon(
    ["relay", "run", "--channel", channel, "-w", join(root, "app"), "--", "sh", "-c", AGENT],
    {
      CODEX_FLOW_URL: edge.info.url,
      CODEX_FLOW_TOKEN: edge.info.tokens.runner,
      CODEFLOW_SESSION_KEY: "main",
      STORY_TOKEN: SECRET,
      HOME: join(root, "home"),
      XDG_STATE_HOME: join(root, "state"),
      TMPDIR: join(root, "tmp"),
    },
    root,
  );
  onTestFinished(() => relay.kill());
  expect(await relay.over()).toBe(0);

  // A session this short may end before its card is sent, which then is left out. Its end rings nobody: nobody asked here.
  const seen = await discord.waitFor(() => {
    const [thread] = discord.threads(channel);
    const messages = thread === undefined ? [] : discord.messages(thread.id);
    const text = JSON.stringify(messages);
    return text.includes("all done") && / finished in /.test(text) ? messages : undefined;
  });
  expect(seen.flatMap(({ rings }) => rings)).toEqual([]);
  const everything = JSON.stringify([...seen, ...discord.requests, ...discord.messages(channel)]);
  expect(everything).toContain("***");
  for (const part of [SECRET, SECRET.slice(0, HALF), SECRET.slice(HALF)])
    expect(everything).not.toContain(part);
  expect(discord.faults).toEqual([]);
});
