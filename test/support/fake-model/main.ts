/**
 * The fake model as a program, for stories in which processes are killed: `node main.ts <script.json> [port]`, where
 * the script is a list of rules. Prints one line, `{"url": …, "home": …}` (a CODEX_HOME for it), and goes on SIGTERM.
 */
import { readFileSync, rmSync } from "node:fs";
import { writeCodexHome } from "./codex-home.ts";
import { FakeModel, type Rule } from "./fake-model.ts";

const [, , script = "", port = "0"] = process.argv;
const model = await FakeModel.start(JSON.parse(readFileSync(script, "utf8")) as Rule[], Number(port));
const home = writeCodexHome(model.url);
console.log(JSON.stringify({ url: model.url, home }));
process.once("SIGTERM", () => {
  void model.stop();
  rmSync(home, { recursive: true, force: true });
});
