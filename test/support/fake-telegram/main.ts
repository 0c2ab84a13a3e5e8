/**
 * The fake Telegram as a program, for stories that follow the documentation: `node main.ts [port]`. Prints one line of
 * JSON, and goes on SIGTERM. Its limits are those that Telegram is known to have.
 */
import { FakeTelegram } from "./index.ts";

const [, , port = "0"] = process.argv;
const fake = await FakeTelegram.start({ port: Number(port) });
console.log(
  JSON.stringify({
    url: fake.apiUrl,
    token: fake.token,
    chatId: fake.chat.id,
    groupId: fake.group.id,
    userId: fake.alice.id,
  }),
);
process.once("SIGTERM", () => {
  void fake.stop();
});
