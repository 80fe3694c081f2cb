/** Where RocksDB is looked for. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { prebuilds } from '../base/package-root.js';

const isMac = process.platform === 'darwin';

/** Debian's and Homebrew's; a bare name is looked for by the system. */
const systemNames = isMac
  ? ['/opt/homebrew/lib/librocksdb.dylib', '/usr/local/lib/librocksdb.dylib', 'librocksdb.dylib']
  : ['librocksdb.so.9.10', 'librocksdb.so.7.8', 'librocksdb.so'];

/**
 * Files to try, best first: the one that is asked for and no other; else the one that comes with Tenon, then the
 * system's.
 */
export function rocksdbLibraries(asked: string): string[] {
  if (asked !== '') return [asked];
  const file = `librocksdb.${isMac ? 'dylib' : 'so'}`;
  const own = path.join(prebuilds, file);
  return [...(existsSync(own) ? [own] : []), ...systemNames];
}
