import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { loadCore } from '../../src/binding/core.js';
import { openStore, type Store, type StoreOptions } from '../../src/binding/store.js';
import { root } from '../architecture/tree.js';

const library = `librocksdb.${process.platform === 'darwin' ? 'dylib' : 'so'}`;

/** RocksDB as it is committed, else the one of the system. */
export const rocksdb = [path.join(root, 'prebuilds', `${process.platform}-${process.arch}`, library), library];

/** A store in a folder of its own, which goes with it. */
export interface TemporaryStore {
  readonly store: Store;
  readonly directory: string;
  remove(): Promise<void>;
}

export async function temporaryStore(options: Partial<StoreOptions> = {}): Promise<TemporaryStore> {
  const parent = await mkdtemp(path.join(tmpdir(), 'tenon-store-'));
  const directory = path.join(parent, 'tables');
  const mebibyte = 1024 * 1024;
  const store = await openStore(loadCore(), {
    directory,
    libraries: rocksdb,
    sync: false,
    feedBytes: 16 * mebibyte,
    cacheBytes: 16 * mebibyte,
    ...options,
  });
  const remove = async (): Promise<void> => {
    await store.close();
    await rm(parent, { recursive: true, force: true });
  };
  return { store, directory, remove };
}
