/** Opens the store of a folder with what the settings say. */
import type { Settings } from '../base/config.js';
import type { Core } from '../binding/core.js';
import { openStore, type Store, type StoreDoor } from '../binding/store.js';
import { refuseCutShort } from './backup.js';
import { rocksdbLibraries } from './rocksdb.js';
import { storeError } from './store-error.js';

/** Rejects with `RocksdbMissing`, `StoreLocked`, `StoreDamaged` or `StoreFailed`. */
export async function openTableStore(
  core: Core & StoreDoor,
  {
    directory,
    ...settings
  }: Pick<Settings, 'rocksdb' | 'tablesSync' | 'tablesLog' | 'tablesCache'> & { directory: string },
): Promise<Store> {
  await refuseCutShort(directory);
  return openStore(core, {
    directory,
    libraries: rocksdbLibraries(settings.rocksdb),
    sync: settings.tablesSync,
    feedBytes: settings.tablesLog,
    cacheBytes: settings.tablesCache,
  }).catch((error: unknown) => {
    throw storeError(error, { path: directory });
  });
}
