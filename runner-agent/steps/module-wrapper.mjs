/**
 * Preloaded into every script step, under Bun and Node alike: calls the default export of a module-style step.
 *
 * The script stays the main program (`process.argv`, `import.meta.main`, `require.main`, exit codes and uncaught
 * errors are its own), so a raw script notices nothing, and its standard input is left alone. Which style a script
 * has is what its module exports, never what its text looks like.
 *
 * It runs unbuilt, beside the bundle or the source, and its start-up is paid by every step: no import that a raw
 * script would not need. (Under Bun, node:worker_threads alone costs 3 ms and a turn of the event loop 2 ms.)
 */
const bun = globalThis.Bun;
const isMainThread = bun?.isMainThread ?? process.getBuiltinModule("node:worker_threads").isMainThread;
const pathToFileURL = bun?.pathToFileURL ?? process.getBuiltinModule("node:url").pathToFileURL;
// Node has to meet the script as its main program first, else a CommonJS script would not be `require.main`.
const soon = bun === undefined ? setImmediate : queueMicrotask;

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
  process.stdout.write(`FLOW_RESULT ${await resultOf(step)}\n`);
}

/** The result as JSON. What a step throws is its result too, and its exit code stays 0, as the ancestor has it. */
async function resultOf(step) {
  try {
    const { readFileSync } = process.getBuiltinModule("node:fs");
    const result = await step(JSON.parse(readFileSync(0, "utf8")));
    if (typeof result?.status !== "string")
      throw new TypeError("A step's default export must return an object with a string status");
    return JSON.stringify(result);
  } catch (error) {
    process.stderr.write(`${error?.stack ?? String(error)}\n`);
    return JSON.stringify({ status: "failed", message: String(error?.message ?? error) });
  }
}
