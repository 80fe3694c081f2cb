/** Swaps files under a folder, as fast as it can, on a thread of its own. */
import { Worker } from 'node:worker_threads';

export interface Swapping {
  /** Stop; how many swaps there were. */
  stop(): Promise<number>;
}

/** What is put in place, one after the other, for ever: a file in memory, or a link to a path. */
export interface Swap {
  /** Absolute. */
  place: string;
  bytes?: Uint8Array;
  link?: string;
  /** How long it stays at least, ms. */
  ms?: number;
}

const program = `
const { renameSync, symlinkSync, unlinkSync, writeFileSync } = require('node:fs');
const { workerData, parentPort } = require('node:worker_threads');
const { swaps, state } = workerData;
let count = 0;
for (let at = 0; Atomics.load(state, 0) === 0; at = (at + 1) % swaps.length) {
  const { place, bytes, link, ms = 0 } = swaps[at];
  const fresh = place + '.fresh';
  try {
    if (link === undefined) writeFileSync(fresh, bytes);
    else symlinkSync(link, fresh);
    // Most as a careful publisher does, and some in place.
    if (link !== undefined || count % 5 !== 0) renameSync(fresh, place);
    else {
      unlinkSync(fresh);
      unlinkSync(place);
      writeFileSync(place, bytes);
    }
    Atomics.add(state, 1, 1);
    count += 1;
    if (ms > 0) Atomics.wait(state, 0, 0, ms);
  } catch (error) {
    try { unlinkSync(fresh); } catch {}
  }
}
parentPort.postMessage(count);
`;

/** Begin. */
export function swapping(swaps: readonly Swap[]): Swapping {
  const state = new Int32Array(new SharedArrayBuffer(8));
  const worker = new Worker(program, { eval: true, workerData: { swaps, state } });
  const done = new Promise<number>((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
  return {
    stop: () => {
      Atomics.store(state, 0, 1);
      return done;
    },
  };
}
