/** How often the reloads of one application may follow each other. */

/** Times in ms. */
export interface PaceLimits {
  /** Reloads that may begin within the window. */
  most: number;
  windowMs: number;
}

/** How many times the limit is kept in mind. */
const mostTimes = 4;

/** Counts what begins, for each application by itself. */
export class Pace {
  readonly #limits: PaceLimits;
  readonly #begun = new Map<string, number[]>();

  constructor(limits: PaceLimits) {
    this.#limits = limits;
  }

  /**
   * Whether one more may begin at `now`.
   * @param times as many as the limits say
   */
  admits(folder: string, now: number, times = 1): boolean {
    return this.#recent(folder, now).length < this.#limits.most * Math.min(times, mostTimes);
  }

  /** One begins at `now`. */
  begin(folder: string, now: number): void {
    this.#begun.set(folder, [...this.#recent(folder, now), now].slice(-this.#limits.most * mostTimes));
  }

  #recent(folder: string, now: number): number[] {
    return (this.#begun.get(folder) ?? []).filter((at) => now - at < this.#limits.windowMs);
  }
}
