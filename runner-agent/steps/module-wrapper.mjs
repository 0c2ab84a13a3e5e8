/**
 * Preloaded into every script step, under Bun and Node alike: calls the default export of a module-style step.
 *
 * The script stays the main program (`process.argv`, `import.meta.main`, `require.main`, exit codes and uncaught
 * errors are its own), so a raw script notices nothing, and its standard input is left alone. Which style a script
 * has is what its module exports, never what its text looks like.
 *
 * A module's result goes to the agent over a pipe of its own (result-channel.ts), never over standard output: there it
 * could not be told from a text that the step prints and others have written.
 *
 * It runs unbuilt, beside the bundle or the source, and every step waits for it. Under Bun, opening `process.stdout`
 * takes 15 ms, node:fs and node:worker_threads 3 ms each and a turn of the event loop 2 ms: hence the detours.
 */
const bun = globalThis.Bun;
const isMainThread = bun?.isMainThread ?? process.getBuiltinModule("node:worker_threads").isMainThread;
const pathToFileURL = bun?.pathToFileURL ?? process.getBuiltinModule("node:url").pathToFileURL;
// Node has to meet the script as its main program first, else a CommonJS script would not be `require.main`.
const soon = bun === undefined ? setImmediate : queueMicrotask;
// The step may point the console elsewhere.
const { error: printError } = console;
/** The agent's pipe; as in result-channel.ts. */
const RESULT_DESCRIPTOR = 3;

if (isMainThread) {
  // What a step forks is not a step: it must not inherit this preload.
  process.execArgv.length = 0;
  const script = pathToFileURL(process.argv[1]).href;
  soon(() => {
    // The same module as the main program, evaluated once. Its failure is reported there.
    import(script).then(callDefaultExport, () => undefined);
  });
}

async function callDefaultExport({ default: step }) {
  if (typeof step !== "function") return;
  await tell("module");
  await tell(await resultOf(step));
}

async function tell(line) {
  if (bun !== undefined) return await bun.write(bun.file(RESULT_DESCRIPTOR), `${line}\n`);
  process.getBuiltinModule("node:fs").writeFileSync(RESULT_DESCRIPTOR, `${line}\n`);
}

/** The result as JSON. What a step throws is its result too, and its exit code stays 0, as the ancestor has it. */
async function resultOf(step) {
  try {
    const result = await step(await readContext());
    if (typeof result?.status !== "string")
      throw new TypeError("A step's default export must return an object with a string status");
    return JSON.stringify(result);
  } catch (error) {
    printError(String(error?.stack ?? error));
    return JSON.stringify({ status: "failed", message: String(error?.message ?? error) });
  }
}

async function readContext() {
  if (bun !== undefined) return await bun.stdin.json();
  const { readFileSync } = process.getBuiltinModule("node:fs");
  return JSON.parse(readFileSync(0, "utf8"));
}
