/**
 * A process that writes a journal until it is killed: `node journal-writer.ts <path> <first> <count>`. It says each
 * number on a line of its own once its entry is written, and then holds the journal open.
 */
import { writeSync } from "node:fs";
import { Journal } from "../../runner-agent/journal/journal.ts";

const STDOUT = 1;
const attempt = { runId: "run_0123456789abcdef_1", attempt: 1, lease: "lease_1" };

const [path = "", first = "1", count = "1"] = process.argv.slice(2);
const journal = new Journal(path);
journal.begin(attempt);
for (let n = Number(first); n < Number(first) + Number(count); n += 1) {
  journal.appendOutput(attempt, "stdout", `entry ${n}\n`, n);
  writeSync(STDOUT, `${n}\n`);
}
// Nothing else keeps it alive; whoever started it kills it.
setInterval(() => undefined, 1 << 30);
