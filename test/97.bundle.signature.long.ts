import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { publicKeyText } from '../src/bundle/minisign.js';
import { makeSecretKey, readSecretKey } from '../src/bundle/secret-key.js';
import { Trust } from '../src/bundle/trust.js';
import { minisign, noMinisign } from './bundle/minisign.js';
import { changeBytes, signArchive, smallBundle } from './bundle/signed.js';

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

test.each(['archive', 'unpacked'] as const)(
  '10,000 bytes of a signed bundle (%s) that are other ones: each is refused, or says nothing of the files',
  async (layer) => {
    const folder = await mkdtemp(path.join(tmpdir(), 'tenon-signed-'));
    try {
      const key = makeSecretKey();
      const trust = new Trust(path.join(folder, 'trust.json'));
      await trust.add({ key: key.publicKey.text, keyId: key.keyId, name: '', plugins: ['shop'] });
      const archive = await signArchive(smallBundle('shop'), key);
      const seed = Date.now() % 2 ** 32;
      const { refused, same, other } = await changeBytes(archive, { trust, layer, count: 10_000, seed });
      const codes = JSON.stringify(Object.fromEntries(refused));
      console.log(`seed ${seed}: ${same.length} say nothing; refused: ${codes}`);
      expect(other).toEqual([]);
      expect(same.length).toBeLessThanOrEqual(500);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
  600_000,
);
