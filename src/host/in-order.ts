/** Work on many things, some of which have to wait for others. */

/**
 * Do `work` on each of `keys`, when it is done on all those of `before(key)` that are among them, `atOnce` at a time and
 * else in the given order. Where all that are left wait for each other, the first of them does not. What rejects holds
 * up nobody.
 */
export function inOrder(
  keys: readonly string[],
  before: (key: string) => Iterable<string>,
  work: (key: string) => Promise<unknown>,
  atOnce: number,
): Promise<void> {
  const unfinished = new Set(keys);
  const queue = [...unfinished];
  const waits = (key: string): boolean => [...before(key)].some((other) => other !== key && unfinished.has(other));
  let running = 0;
  return new Promise((resolve) => {
    const begin = (key: string): void => {
      const over = (): void => {
        running -= 1;
        unfinished.delete(key);
        next();
      };
      running += 1;
      work(key).then(over, over);
    };
    const next = (): void => {
      while (running < atOnce && queue.length > 0) {
        const free = queue.findIndex((key) => !waits(key));
        if (free === -1 && running > 0) return;
        const [key] = queue.splice(Math.max(0, free), 1);
        if (key !== undefined) begin(key);
      }
      if (running === 0 && queue.length === 0) resolve();
    };
    next();
  });
}
