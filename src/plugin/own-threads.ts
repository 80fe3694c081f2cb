/** Threads that a plugin has started itself: under them nothing may be unmapped. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Core } from '../binding/core.js';
import type { ImageThread } from '../binding/image.js';

/**
 * Those of the image opened from `path`, as a reason to keep it. One that gave no answer, which may be anybody's, is asked
 * again for `graceMs`. Linux; nothing is known elsewhere.
 */
export async function ownThreads(core: Core, path: string, graceMs: number): Promise<string | undefined> {
  const end = performance.now() + graceMs;
  for (;;) {
    const threads = core.threadsIn([path])[0] ?? [];
    if (threads.length === 0) return undefined;
    const own = threads.filter(({ known }) => known);
    if (own.length > 0)
      return `thread still running: ${named(own)} ${own.length === 1 ? 'was' : 'were'} started by the plugin and did not end`;
    if (performance.now() > end) return `thread still running: ${named(threads)} did not answer, and may be in it`;
    await sleep(5);
  }
}

function named(threads: readonly ImageThread[]): string {
  return threads.map(({ name, id }) => `${name} (${id})`).join(', ');
}
