import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readArchive } from '../src/bundle/archive.js';
import { makeSecretKey } from '../src/bundle/secret-key.js';
import { Trust } from '../src/bundle/trust.js';
import { writeArchive } from '../src/bundle/write-archive.js';
import { admit, changeBytes, signArchive, smallBundle } from './bundle/signed.js';

const key = makeSecretKey();
const codes = /^(?:Archive\w+|ManifestNotFound|InvalidManifest|BundleDamaged|Signature\w+|SignerUntrusted)$/;

let folder: string;
let trust: Trust;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'tenon-signed-'));
  trust = new Trust(path.join(folder, 'trust.json'));
  await trust.add({ key: key.publicKey.text, keyId: key.keyId, name: '', plugins: ['shop'] });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test('a signed bundle has its signature behind the manifest, and is signed again to the same bytes', async () => {
  const signed = await signArchive(smallBundle('shop'), key);
  expect((await readArchive(signed)).map((file) => file.path)).toEqual([
    'manifest.json',
    'manifest.sig',
    'prebuilds/linux-x64/shop.so',
  ]);
  expect(await signArchive(signed, key)).toEqual(signed);
});

test.each(['manifest.json', 'manifest.sig', 'prebuilds/linux-x64/shop.so'])(
  'every byte of %s that is another one has a signed bundle refused',
  async (name) => {
    const files = await readArchive(await signArchive(smallBundle('shop'), key));
    const { bytes } = files.find((file) => file.path === name) ?? expect.unreachable();
    const found = new Set<string>();
    for (const at of bytes.keys()) {
      const changed = Buffer.from(bytes);
      changed.writeUInt8(changed.readUInt8(at) ^ (1 << (at % 8)), at);
      const archive = writeArchive(files.map((file) => (file.path === name ? { ...file, bytes: changed } : file)));
      const code = await admit(archive, trust).then(
        () => `accepted at ${at}`,
        (error: { code?: string }) => error.code ?? 'no code',
      );
      found.add(code);
    }
    expect([...found].filter((code) => !codes.test(code))).toEqual([]);
  },
);

test.each([
  ['the archive', 'archive', ['ArchiveInvalid']],
  ['what it has packed', 'unpacked', ['ArchiveInvalid', 'InvalidManifest', 'SignatureInvalid', 'BundleDamaged']],
] as const)(
  'a byte of %s that is another one has a signed bundle refused, or says nothing of its files',
  async (_, layer, some) => {
    const archive = await signArchive(smallBundle('shop'), key);
    const { refused, same, other } = await changeBytes(archive, { trust, layer, count: 600, seed: 20_261_121 });
    expect(other).toEqual([]);
    expect([...refused.keys()].filter((code) => !codes.test(code))).toEqual([]);
    expect([...refused.keys()]).toEqual(expect.arrayContaining([...some]));
    // Time and system in the head of gzip, the end of a checksum of tar; a match of deflate that could as well lie elsewhere.
    expect(same.length).toBeLessThan(30);
  },
);

test('the signature of one bundle is none of another, nor of another version', async () => {
  const [, signature] = await readArchive(await signArchive(smallBundle('shop'), key));
  for (const other of [smallBundle('shop', '1.0.1'), smallBundle('todo')]) {
    const [manifest, ...files] = await readArchive(other);
    const archive = writeArchive([manifest, signature, ...files].filter((file) => file !== undefined));
    await expect(admit(archive, trust)).rejects.toMatchObject({ code: 'SignatureInvalid' });
  }
});

test('a bundle signed by a key for other plugins is refused', async () => {
  const archive = await signArchive(smallBundle('todo'), key);
  await expect(admit(archive, trust)).rejects.toMatchObject({ code: 'SignerUntrusted' });
});
