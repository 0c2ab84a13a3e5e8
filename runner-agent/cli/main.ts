/** The program `codex-flow`: runs the command line and ends with its exit code. */
import { useProxyForFetch } from "../proxy.ts";
import { EXIT } from "./exit-codes.ts";
import { runCli } from "./program.ts";

// Whoever reads our output may have read enough (`| head`): that is no failure.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit(EXIT.ok);
});

// What is said beside the answer is lost then, and nothing else: the command goes on, and an agent with its steps.
process.stderr.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
});

await useProxyForFetch(process.env);

// Not process.exit: what was written to a pipe must still drain.
process.exitCode = await runCli(process.argv.slice(2), {
  environment: process.env,
  out: process.stdout,
  err: process.stderr,
});
