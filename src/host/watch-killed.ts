/** Has what was killed and runs taken down again and again: the list may be written by anybody whom the operator lets. */
import type { Host } from './host.js';

const everyMs = 10_000;

/** `look` never rejects: what went wrong is logged where it happened. */
export function watchKilled(host: Pick<Host, 'endKilled'>): { look: () => Promise<void>; end: () => void } {
  const look = (): Promise<void> => host.endKilled().catch(() => {});
  const timer = setInterval(() => void look(), everyMs).unref();
  return { look, end: () => clearInterval(timer) };
}
