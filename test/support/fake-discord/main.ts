/**
 * The fake Discord as a program, for stories that follow the documentation: `node main.ts [port] [seed]`. Prints one
 * line of JSON, and goes on SIGTERM. Its limits are Discord's.
 */
import { FakeDiscord } from "./index.ts";

const [, , port = "0", seed] = process.argv;
const fake = await FakeDiscord.start({ port: Number(port), ...(seed === undefined ? {} : { seed }) });
console.log(
  JSON.stringify({
    url: fake.apiUrl,
    publicKey: fake.publicKey,
    botToken: fake.botToken,
    applicationId: fake.app.id,
    guildId: fake.guild.id,
    channelId: fake.text.id,
    forumId: fake.forum.id,
  }),
);
process.once("SIGTERM", () => {
  void fake.stop();
});
