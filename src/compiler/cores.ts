/** Shares the processor among builds: one alone has all of it. */
import os from 'node:os';

const total = os.availableParallelism();
const waiting: (() => void)[] = [];
let running = 0;

/**
 * The share of one build, taken when its first tool starts. Whoever waits for one holds the directory of the build
 * already, and nobody waits for a directory with a share: so builds cannot wait for each other in a ring.
 */
export class CoreShare {
  readonly #signal: AbortSignal | undefined;
  #taken: Promise<void> | undefined;
  #waitedMs = 0;

  constructor(signal: AbortSignal | undefined) {
    this.#signal = signal;
  }

  /** What it has waited for others so far, ms. */
  get waitedMs(): number {
    return this.#waitedMs;
  }

  /**
   * Waits while as many builds run as there are cores, unless it has a share; resolves to the compilers that may run at
   * once. Rejects with the signal's reason when it is aborted before.
   */
  async take(): Promise<number> {
    const asked = performance.now();
    this.#taken ??= takeTurn(this.#signal).finally(() => {
      this.#waitedMs += performance.now() - asked;
    });
    await this.#taken;
    return Math.max(1, Math.floor(total / running));
  }

  /** It may be taken again. */
  async giveBack(): Promise<void> {
    const taken = this.#taken;
    this.#taken = undefined;
    const held = await taken?.then(
      () => true,
      () => false,
    );
    if (held !== true) return;
    const next = waiting.shift();
    if (next === undefined) running -= 1;
    else next();
  }
}

async function takeTurn(signal: AbortSignal | undefined): Promise<void> {
  signal?.throwIfAborted();
  if (running < total) {
    running += 1;
    return;
  }
  await new Promise<void>((resolve, reject) => {
    const turn = (): void => {
      signal?.removeEventListener('abort', leave);
      resolve();
    };
    const leave = (): void => {
      waiting.splice(waiting.indexOf(turn), 1);
      reject(signal?.reason as Error);
    };
    waiting.push(turn);
    signal?.addEventListener('abort', leave, { once: true });
  });
}
