/** Looks whether the event loop of a host turns, by the beat in its black box. */

export interface HangWatchOptions {
  /** For which the loop may stand, ms. */
  hangMs: number;
  /** For which it may take until it turns for the first time, ms. */
  wakingMs: number;
  /** Since the loop turned last, ms; undefined before the first time. */
  beatMs: () => number | undefined;
  /** Whether somebody holds the process, to look at it: then it may stand. */
  isHeld: () => boolean;
  /** The loop stands, for so many ms. Once. */
  stands: (ms: number) => void;
}

/** From the begin of a host to its first beat, ms: of one that has loaded everything before, and of one that has not. */
const [readyMs, coldMs] = [5000, 60_000];
/** Between two beats of a host, and between two looks, ms. */
const mostMs = 1000;

/** How often a host is to beat, ms. */
export function beatEvery(hangMs: number): number {
  return hangMs === 0 ? mostMs : Math.min(mostMs, hangMs / 8);
}

/** For which a host may take until its event loop turns for the first time, ms. @param stoodBy whether it had said that it stands by */
export function wakingFor(hangMs: number, stoodBy: boolean): number {
  return Math.max(stoodBy ? readyMs : coldMs, hangMs);
}

/** From its making on, until it is stopped or has found a hang. */
export class HangWatch {
  readonly #timer: NodeJS.Timeout;

  constructor({ hangMs, wakingMs, beatMs, isHeld, stands }: HangWatchOptions) {
    const begunAt = performance.now();
    // Whoever was stopped together with the host, as by a terminal, looks before the host has had its turn.
    let stoodBefore = false;
    this.#timer = setInterval(() => {
      const since = performance.now() - begunAt;
      const beat = beatMs();
      const ms = beat ?? since;
      const stood = ms > (beat === undefined ? wakingMs : hangMs) && !isHeld();
      if (stood && stoodBefore) {
        this.stop();
        stands(ms);
      }
      stoodBefore = stood;
    }, beatEvery(hangMs)).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}
