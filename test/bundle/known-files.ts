/** Files whose archive is known, byte for byte. */
import type { ArchiveFile } from '../../src/bundle/archive.js';

export const knownFiles: readonly ArchiveFile[] = [
  { path: 'manifest.json', bytes: Buffer.from('{"id": "known"}\n') },
  { path: 'data/zähler.json', bytes: Buffer.from('[]') },
  { path: 'empty', bytes: Buffer.alloc(0) },
  { path: `${'long/'.repeat(12)}${'n'.repeat(110)}`, bytes: Buffer.alloc(512, 'block') },
  {
    path: 'prebuilds/linux-x64/known.so',
    bytes: Buffer.from(Array.from({ length: 50_000 }, (_, at) => (at * at) >>> (at % 11))),
  },
];
