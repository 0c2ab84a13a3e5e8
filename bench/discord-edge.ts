/** An edge and a Discord of its own, whose one server is let in. */
import { createEdgeClient, type EdgeClient } from "../client/http.ts";
import { FakeDiscord, NO_LIMITS, type User } from "../test/support/fake-discord/index.ts";
import { edgeServer, type EdgeServer } from "./servers.ts";

/** workerd evicts an object that nobody has called for ten seconds. */
export const ASLEEP_AFTER_MS = 12_000;

export interface DiscordEdge {
  fake: FakeDiscord;
  edge: EdgeServer;
  /** Where interactions are sent. */
  url: string;
  /** With all rights. */
  client: EdgeClient;
  /** Administrators of the server. */
  people: User[];
  close(): Promise<void>;
}

export async function discordEdge(people: number): Promise<DiscordEdge> {
  const fake = await FakeDiscord.start({ limits: NO_LIMITS });
  const edge = await edgeServer(undefined, {
    DISCORD_APPLICATION_ID: fake.app.id,
    DISCORD_PUBLIC_KEY: fake.publicKey,
    DISCORD_BOT_TOKEN: fake.botToken,
    DISCORD_API_URL: fake.apiUrl,
  });
  const url = `${edge.url}/discord/interactions`;
  const client = createEdgeClient({ url: edge.url, token: edge.secrets.tokens.admin });
  await fake.verifyEndpoint(url);
  await client.allowServer({ server: fake.guild.id, allowed: true });
  return {
    fake,
    edge,
    url,
    client,
    people: Array.from({ length: people }, (_unused, index) =>
      fake.addUser({ username: `person ${index}`, permissions: "8" }),
    ),
    close: async () => {
      await edge.close();
      await fake.stop();
    },
  };
}

/** Throws when something was answered or sent that Discord refuses. */
export function checkFaults(fake: FakeDiscord): void {
  const [fault] = fake.faults.filter(({ tolerated }) => !tolerated);
  if (fault !== undefined) throw new Error(`Discord refuses: ${JSON.stringify(fault)}`);
}
