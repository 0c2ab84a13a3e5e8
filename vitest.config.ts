/**
 * Three kinds of tests: rules in plain Node, objects and routes inside workerd, whole stories with real processes.
 */
import { cloudflareTest } from "@cloudflare/vitest-plugin";
import { defineConfig } from "vitest/config";

const STORY_TIMEOUT_MS = 120_000;
/** Files at once, on two cores. Rules and stories wait most of their time, for a process, a clock or a disk. */
const FILES_AT_ONCE = 3;
/** Inside workerd there is more to compute. */
const EDGE_FILES_AT_ONCE = 2;
const UNIT_TIMEOUT_MS = 30_000;

/** Secrets of the Worker under test; the tests read them from its environment. */
const secrets = {
  ADMIN_TOKENS: "test-admin-token,test-admin-token-new",
  READ_TOKENS: "test-read-only-token",
  WRITE_TOKENS: "test-write-token",
  RUNNER_TOKENS: "test-runner-token",
  EVENT_TOKENS: "test-event-token",
  PATH_TOKENS: "test-path-token-of-a-client",
  EVENT_SECRETS: "old-event-secret,new-event-secret",
  WEBHOOK_SECRETS: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
  // Of the seed in test/edge/support/discord.ts. Without a bot's token there is no outbox: answers are inline alone.
  DISCORD_APPLICATION_ID: "1000000000000000001",
  DISCORD_PUBLIC_KEY: "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c",
};

/** Nobody listens there: no test may speak to the real chat platforms. */
const NOWHERE = "http://127.0.0.1:9";
const chatPlatforms = { DISCORD_API_URL: `${NOWHERE}/api/v10`, TELEGRAM_API_URL: NOWHERE };

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "unit",
          include: ["test/unit/**/*.test.ts"],
          testTimeout: UNIT_TIMEOUT_MS,
          hookTimeout: UNIT_TIMEOUT_MS,
          maxWorkers: FILES_AT_ONCE,
        },
      },
      {
        plugins: [
          cloudflareTest({
            wrangler: { configPath: "./wrangler.toml" },
            miniflare: { bindings: { ...secrets, ...chatPlatforms } },
          }),
        ],
        resolve: {
          alias: { "flow-catalog": new URL("./test/edge/support/flow-catalog.ts", import.meta.url).pathname },
        },
        test: {
          name: "edge",
          include: ["test/edge/**/*.test.ts"],
          testTimeout: UNIT_TIMEOUT_MS,
          maxWorkers: EDGE_FILES_AT_ONCE,
          // Fake chats are servers, which workerd cannot hold.
          globalSetup: "./test/support/chat-fakes/server.ts",
        },
      },
      {
        test: {
          name: "e2e",
          include: ["test/e2e/**/*.test.ts"],
          testTimeout: STORY_TIMEOUT_MS,
          hookTimeout: STORY_TIMEOUT_MS,
          maxWorkers: FILES_AT_ONCE,
        },
      },
    ],
  },
});
