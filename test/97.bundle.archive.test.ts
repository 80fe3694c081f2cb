import { describe, expect, test } from 'vitest';
import { readArchive } from '../src/bundle/archive.js';
import { writeArchive } from '../src/bundle/write-archive.js';

describe('an archive', () => {
  test('that was written is read, in its order', async () => {
    const files = ['manifest.json', 'data/empty', `${'long/'.repeat(10)}${'x'.repeat(200)}`].map((path, at) => ({
      path,
      bytes: Buffer.alloc(at * 700, path),
    }));
    expect(await readArchive(writeArchive(files))).toEqual(files);
  });
});
