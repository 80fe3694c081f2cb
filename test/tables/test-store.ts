/** The real store of a test, in a directory of its own. */
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadCore } from '../../src/binding/core.js';
import { openStore, type Store } from '../../src/binding/store.js';

const library = path.resolve(
  path.dirname(fileURLToPath(import.meta.url)),
  `../../prebuilds/${process.platform}-${process.arch}/librocksdb.so`,
);

/** @param feedBytes logs that are kept for whoever goes on */
export function openTestStore(directory: string, feedBytes = 64 * 1024 * 1024): Promise<Store> {
  return openStore(loadCore(), {
    directory,
    libraries: [library],
    sync: false,
    feedBytes,
    cacheBytes: 8 * 1024 * 1024,
  });
}
