/** The first process of a container, or of another space of process numbers, is given every orphan there. */
import { loadCore } from '../binding/core.js';

/** When this process is the first one: take what orphans leave, or they stay as zombies. @param own its children, waited for elsewhere */
export function reapWhenFirst(own: () => readonly number[]): void {
  if (process.pid !== 1) return;
  const core = loadCore();
  process.on('SIGCHLD', () => void core.reapStrangers(own()));
}
