/** The process that waits, ready to begin, for the end of the host before it. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { HostChild } from './host-child.js';

export interface StandbyOptions {
  /** Start one. */
  start: () => HostChild;
  /** Whether one is wanted. */
  wanted: () => boolean;
  /** Told why there is none, once until there is one again. */
  warn: (line: string) => void;
}

/** After the host is ready, so as not to slow its start, ms. */
const firstMs = 1000;
/** After one that did not come to stand by, ms. */
const againMs = [1000, 5000, 30_000];
/** For a process to come to stand by, ms. */
export const standbyMs = 60_000;

export class Standby {
  readonly #options: StandbyOptions;
  #child: HostChild | undefined;
  #going: AbortController | undefined;

  constructor(options: StandbyOptions) {
    this.#options = options;
  }

  /** Have one soon, unless there is one or one is on its way. */
  prepare(): void {
    if (this.#going !== undefined || this.#child !== undefined || !this.#options.wanted()) return;
    const going = new AbortController();
    this.#going = going;
    void this.#keepOne(going);
  }

  /**
   * What stands by, or is on its way: that is sooner there than one that starts now. Undefined without one; what has been on its way for
   * too long is given up. From now on it is the caller's.
   */
  take(): HostChild | undefined {
    const child = this.#child;
    this.#child = undefined;
    this.#going?.abort();
    this.#going = undefined;
    if (child?.isStandingBy === true || child?.isOnItsWay === true) return child;
    child?.discard();
    return undefined;
  }

  /** In the place of what there is; `child` stands by. When it ends, there is another one. */
  replace(child: HostChild): void {
    this.drop();
    const going = new AbortController();
    this.#going = going;
    this.#child = child;
    void this.#keepOne(going);
  }

  /** None is wanted any more. */
  drop(): void {
    this.take()?.discard();
  }

  /** Of `#child`, when there is one already, then of what is started in its place. */
  async #keepOne(going: AbortController): Promise<void> {
    const { signal } = going;
    for (let failures = 0; !signal.aborted; ) {
      try {
        if (this.#child === undefined) {
          const wait = failures === 0 ? firstMs : (againMs[Math.min(failures, againMs.length) - 1] ?? firstMs);
          await sleep(wait, undefined, { signal, ref: false }).catch(() => {}); // looked at in the next line
          if (signal.aborted || !this.#options.wanted()) break;
          this.#child = this.#options.start();
        }
        const child = this.#child;
        await child.standsBy(standbyMs);
        failures = 0;
        await child.ended;
        throw new Error('it has ended');
      } catch (error) {
        if (signal.aborted) break;
        this.#child?.discard();
        this.#child = undefined;
        failures += 1;
        if (failures === 1)
          this.#options.warn(`no process stands by: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
    if (this.#going === going) this.#going = undefined;
  }
}
