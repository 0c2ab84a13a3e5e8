/** Work that is awaited for so long and no longer; the timer goes with it. What comes later is nobody's concern. */

/** As the work ends, or, after `ms`, what `late` says or throws. */
export async function within<T, Late>(work: Promise<T>, ms: number, late: () => Late): Promise<T | Late> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const over = new Promise<"late">((resolve) => {
    timer = setTimeout(resolve, ms, "late");
  });
  try {
    return await Promise.race([work, over.then(late)]);
  } finally {
    if (timer !== undefined) clearTimeout(timer);
  }
}
