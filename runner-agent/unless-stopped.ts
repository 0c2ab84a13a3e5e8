/** Waiting for others, who may take for ever, in a step that may have to end meanwhile. */

/** The value, or a rejection with the signal's reason as soon as that is aborted. Leaves no listener behind. */
export async function unlessStopped<Value>(awaited: Promise<Value>, stopped?: AbortSignal): Promise<Value> {
  if (stopped === undefined) return await awaited;
  stopped.throwIfAborted();
  const { promise, reject } = Promise.withResolvers<never>();
  const stop = (): void => {
    reject(stopped.reason as Error);
  };
  stopped.addEventListener("abort", stop, { once: true });
  try {
    return await Promise.race([awaited, promise]);
  } finally {
    stopped.removeEventListener("abort", stop);
  }
}
