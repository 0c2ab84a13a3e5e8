/**
 * When a foreground program should end: on SIGINT or SIGTERM, or when whoever started it is gone. npm passes a signal
 * only to the shell between itself and us, and that shell may die without a word.
 */

const PARENT_INTERVAL_MS = 200;

/** Resolves once, when it is time to stop. */
export function stopRequested(): Promise<undefined> {
  const parent = process.ppid;
  return new Promise((resolve) => {
    const stop = (): void => {
      clearInterval(timer);
      resolve(undefined);
    };
    const timer = setInterval(() => {
      if (process.ppid !== parent) stop();
    }, PARENT_INTERVAL_MS);
    timer.unref();
    // Kept for good: a second signal must not cut the orderly end short.
    process.on("SIGINT", stop);
    process.on("SIGTERM", stop);
  });
}
