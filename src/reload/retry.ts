/** When a reload that failed is tried again. */

/**
 * How long to wait before retry number `retry` (from 1), ms: `delayMs` doubled for each retry before, at most `mostMs`,
 * and up to a quarter less or more, so that what failed together is not tried together. `random` is from 0 to 1.
 */
export function retryDelay(retry: number, delayMs: number, mostMs: number, random = Math.random()): number {
  const even = Math.min(mostMs, delayMs * 2 ** Math.min(retry - 1, 32));
  return Math.min(mostMs, Math.round(even * (0.75 + random / 2)));
}
