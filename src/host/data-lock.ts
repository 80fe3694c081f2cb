/** The lock of a data directory: one host has it, and everything it keeps there, to itself. */
import path from 'node:path';
import { TenonError } from '../base/errors.js';
import type { Core, DirectoryLock } from '../binding/core.js';

/**
 * Held until it is released, and until each process that was given its descriptor has ended. Throws `DataDirectoryLocked`, and what the
 * system says when there can be no lock.
 * @param data is there
 */
export function lockData(core: Pick<Core, 'lockFile'>, data: string): DirectoryLock {
  try {
    return core.lockFile(path.join(data, 'lock'));
  } catch (error) {
    const { holder } = error as { holder?: number };
    if (holder === undefined || holder <= 0) throw error;
    throw new TenonError('DataDirectoryLocked', `process ${holder} uses the data directory ${data}`, {
      next: 'stop it, or name another directory with --data; a host whose `tenon start` was killed ends by itself when its requests are over',
      details: { data, holder },
      cause: error,
    });
  }
}
