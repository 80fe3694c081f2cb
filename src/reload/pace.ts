/** How often the reloads of one application may follow each other. */

/** Times in ms. */
export interface PaceLimits {
  /** Reloads that may begin within the window. */
  most: number;
  windowMs: number;
}

/** Counts what begins, for each application by itself. */
export class Pace {
  readonly #limits: PaceLimits;
  readonly #begun = new Map<string, number[]>();

  constructor(limits: PaceLimits) {
    this.#limits = limits;
  }

  /** Whether one more may begin at `now`; it counts when it may. */
  admits(folder: string, now: number): boolean {
    const { most, windowMs } = this.#limits;
    const recent = (this.#begun.get(folder) ?? []).filter((at) => now - at < windowMs);
    const admitted = recent.length < most;
    if (admitted) recent.push(now);
    this.#begun.set(folder, recent);
    return admitted;
  }

  /** Count from nothing again. */
  forget(folder: string): void {
    this.#begun.delete(folder);
  }
}
