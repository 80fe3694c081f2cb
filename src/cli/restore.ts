/** `tenon restore`: the tables of a backup in place of those of a data directory that no host uses. */
import path from 'node:path';
import { resolveSettings } from '../base/config.js';
import { makeDataDirectory } from '../base/data-directory.js';
import { asTenonError, TenonError } from '../base/errors.js';
import { loadCore } from '../binding/core.js';
import { takeBackup } from '../tables/backup.js';
import { openTableStore } from '../tables/open.js';

export interface RestoreFlags {
  data?: string;
  json?: true;
}

function locked<Lock>(lock: () => Lock): Lock {
  try {
    return lock();
  } catch (cause) {
    const { code, message, details } = asTenonError(cause);
    throw new TenonError(code, message, {
      next: 'stop the host that uses the data directory, or name another one with --data',
      details,
      cause,
    });
  }
}

export async function restore(directory: string, flags: RestoreFlags): Promise<void> {
  const { settings } = resolveSettings({ flags: { data: flags.data } });
  makeDataDirectory(settings.data);
  const core = loadCore();
  const lock = locked(() => core.lockFile(path.join(settings.data, 'lock')));
  try {
    const { facts, before } = await takeBackup(path.resolve(directory), settings.data, async (folder) => {
      const store = await openTableStore(core, { ...settings, directory: folder });
      await store.close();
    });
    if (flags.json === true) {
      process.stdout.write(`${JSON.stringify({ backup: facts, before })}\n`);
      return;
    }
    const count = facts.tables.length;
    process.stdout.write(`restored: ${count} ${count === 1 ? 'table' : 'tables'} as of ${facts.madeAt}\n`);
    if (before !== undefined) process.stderr.write(`what was there before lies in ${before}\n`);
  } finally {
    lock.release();
  }
}
