import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { publicKeyText } from '../src/bundle/minisign.js';
import { readSecretKey } from '../src/bundle/secret-key.js';
import { minisign, noMinisign } from './bundle/minisign.js';

test.skipIf(noMinisign !== undefined)(
  `a key that minisign has encrypted, with a gigabyte of memory, is read${noMinisign === undefined ? '' : `: ${noMinisign}`}`,
  async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'tenon-signature-'));
    try {
      minisign(folder, ['-G', '-p', 'hidden.pub', '-s', 'hidden.key'], 'a word\na word\n');
      const text = await readFile(path.join(folder, 'hidden.key'), 'utf8');
      const key = await readSecretKey(text, () => Promise.resolve('a word'));
      expect(publicKeyText(key.publicKey)).toBe(await readFile(path.join(folder, 'hidden.pub'), 'utf8'));
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
  300_000,
);
