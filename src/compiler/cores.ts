/** Shares the processor among builds: one alone has all of it. */
import os from 'node:os';

const total = os.availableParallelism();
const waiting: (() => void)[] = [];
let running = 0;

/** Compilers that a build may run at once, and the way to give them back. */
export interface Share {
  readonly jobs: number;
  release(): void;
}

/** Waits while as many builds run as there are cores. Rejects with the signal's reason when it is aborted before. */
export async function takeCores(signal: AbortSignal | undefined): Promise<Share> {
  signal?.throwIfAborted();
  if (running < total) running += 1;
  else
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
  let held = true;
  const release = (): void => {
    if (!held) return;
    held = false;
    const next = waiting.shift();
    if (next === undefined) running -= 1;
    else next();
  };
  return { jobs: Math.max(1, Math.floor(total / running)), release };
}
