/** How long to wait before the next try to connect. */

export interface BackoffLimits {
  /** Least wait, ms. */
  readonly leastMs: number;
  /** Most that a wait grows to, ms. */
  readonly mostMs: number;
}

export const usualBackoff: BackoffLimits = { leastMs: 100, mostMs: 10_000 };

/**
 * Waits grow with each failed try and are random up to their full length, so that hosts that lost one server together do not come
 * back together.
 */
export class Backoff {
  readonly #limits: BackoffLimits;
  #tries = 0;

  constructor(limits: BackoffLimits = usualBackoff) {
    this.#limits = limits;
  }

  /** The wait before the next try, ms. */
  next(): number {
    const { leastMs, mostMs } = this.#limits;
    const ceiling = Math.min(mostMs, leastMs * 2 ** (this.#tries + 1));
    this.#tries = Math.min(this.#tries + 1, 30);
    return Math.round(leastMs + Math.random() * Math.max(0, ceiling - leastMs));
  }

  /** The last try has worked. */
  reset(): void {
    this.#tries = 0;
  }
}
