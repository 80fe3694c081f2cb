/** What a generation knows, taken while it serves: calls wait at the gate for as short a time as possible. */
import type { Generation } from '../plugin/generation.js';
import type { State } from '../plugin/state.js';
import type { Live } from './live.js';

/**
 * Undefined when its calls do not end in time, or an event stream is open: they go on. Rejects with `StateRefused`.
 * @param standstillMs for calls to end while others wait at the gate
 */
export async function saveBriefly(live: Live, generation: Generation, standstillMs = 100): Promise<State | undefined> {
  if (generation.handle.streams > 0) return undefined;
  let stands = true;
  const goOn = (): void => {
    if (!stands) return;
    stands = false;
    live.swap(generation);
    live.release();
  };
  live.hold();
  live.swap(undefined);
  try {
    if (!(await generation.handle.drain(standstillMs))) return undefined;
    if (!generation.handle.canQuiesce) return await generation.saveState(goOn);
    await generation.quiesce();
    try {
      return await generation.saveState();
    } finally {
      await generation.resume();
    }
  } finally {
    goOn();
  }
}
